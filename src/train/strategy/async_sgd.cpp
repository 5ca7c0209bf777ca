// async-sgd (Downpour, Dean et al. 2012) and dc-asgd (Zheng et al. 2017): the coordinator uses every gradient as it comes, though
// it was computed at an older model w_bak. dc-asgd corrects it to first order: g + lambda g . g . (w - w_bak), number by number;
// lambda 0 is async-sgd. Who may be used when, so that no gradient is older than the bound, is for train/run/staleness.h to say.
#include "train/strategy/optimiser.h"
#include "train/strategy/strategy.h"

namespace tideline::train {
namespace {

class AsyncServer final : public AsyncServerRule {
 public:
  AsyncServer(const Job& job, const ModelSize& size)
      : job_(job),
        size_(size),
        optimiser_(job.optimiser, size.parameters),
        lambda_(job.strategy.name == "dc-asgd" ? static_cast<float>(job.strategy.number("lambda")) : 0) {}

  void apply(std::uint64_t round, std::span<const float> gradient, std::span<const float> seen, std::span<float> model) override {
    std::vector<float> corrected(gradient.begin(), gradient.begin() + static_cast<std::ptrdiff_t>(size_.parameters));
    for (std::size_t i = 0; lambda_ > 0 && i < corrected.size(); ++i)
      corrected[i] += lambda_ * gradient[i] * gradient[i] * (model[i] - seen[i]);
    optimiser_.step(model.first(size_.parameters), corrected, rate_at(job_.optimiser, round, job_.rounds));
    for (std::size_t i = size_.parameters; i < size_.all(); ++i) model[i] += gradient[i];
  }
  void save(StateWriter& to) const override { optimiser_.save(to); }
  Status load(StateReader& from) override { return optimiser_.load(from); }

 private:
  Job job_;
  ModelSize size_;
  Optimiser optimiser_;
  float lambda_;
};

}  // namespace

std::unique_ptr<AsyncServerRule> make_async_server(const Job& job, const ModelSize& size) {
  return std::make_unique<AsyncServer>(job, size);
}

}  // namespace tideline::train
