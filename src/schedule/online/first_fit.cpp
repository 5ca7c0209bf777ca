// first-fit and balanced: take whatever fits, evict nothing, learn nothing.
//
// first-fit tries the paper's k and then the nearest others; balanced takes the k that leaves the fullest touched server
// least full. Both lose when the tasks that come first are dear ones; balanced is the better of the two on all our families.
#include "schedule/online/cuts.h"
#include "schedule/online/families.h"

namespace tideline::schedule {
namespace {

class FirstFit final : public OnlinePolicy {
 public:
  explicit FirstFit(const OnlineRequest& request) : deployment_(request.instance), cuts_(request.instance) {}

  Decision arrive(std::uint32_t task) override {
    const std::uint32_t k =
        first_that_fits(deployment_, task, deployment_.room_for(task), cuts_.order(deployment_.instance().tasks[task]));
    if (k > 0) deployment_.place(task, k);
    return {.layers = k};
  }

  void depart(std::uint32_t task) override {
    if (deployment_.layers_of(task) > 0) deployment_.remove(task);
  }

 private:
  Deployment deployment_;
  Li2018Cuts cuts_;
};

class Balanced final : public OnlinePolicy {
 public:
  explicit Balanced(const OnlineRequest& request) : deployment_(request.instance) {}

  Decision arrive(std::uint32_t task) override {
    const std::uint32_t k = balanced_cut(deployment_, task);
    if (k > 0) deployment_.place(task, k);
    return {.layers = k};
  }

  void depart(std::uint32_t task) override {
    if (deployment_.layers_of(task) > 0) deployment_.remove(task);
  }

 private:
  Deployment deployment_;
};

}  // namespace

MadePolicy make_first_fit(const OnlineRequest& request) {
  return std::unique_ptr<OnlinePolicy>(std::make_unique<FirstFit>(request));
}

MadePolicy make_balanced(const OnlineRequest& request) {
  return std::unique_ptr<OnlinePolicy>(std::make_unique<Balanced>(request));
}

}  // namespace tideline::schedule
