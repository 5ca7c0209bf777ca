// Why a split run computes slower than the unsplit one, cause by cause, all in one process and against a reference of the same
// run.
//   wake_bench rest MODEL     the last third of the model after a rest of 40 ms: asleep, spinning before its end, and not at all
//   wake_bench cuts MODEL     the sum of the parts over the whole, one thread, no rest: what cutting itself costs
//   wake_bench kernels MODEL  the same by kind of kernel, from the engine's own profile
// Prints Markdown.
#include <algorithm>
#include <map>
#include <thread>

#include <fmt/format.h>
#include <sys/resource.h>

#include "model/segment.h"
#include "split_models.h"

namespace tideline::bench {
namespace {

using Clock = std::chrono::steady_clock;

double milliseconds(Clock::duration time) { return Millis(time).count(); }

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

long page_faults() {
  rusage use{};
  ::getrusage(RUSAGE_THREAD, &use);
  return use.ru_minflt;
}

std::vector<std::uint32_t> equal_parts(const Chain& chain, std::uint32_t parts) {
  double total = 0;
  for (const Block& block : chain.blocks) total += static_cast<double>(block.flops);
  std::vector<std::uint32_t> cuts;
  double sum = 0;
  for (std::uint32_t i = 0; i < chain.block_count() && cuts.size() + 1 < parts; ++i) {
    sum += static_cast<double>(chain.blocks[i].flops);
    if (sum >= total * static_cast<double>(cuts.size() + 1) / parts) cuts.push_back(i + 1);
  }
  return cuts;
}

// A segment with buffers of its own, as a node has them: touched once, used for every request.
struct Part {
  std::unique_ptr<Session> session;
  std::vector<Buffer> in;
  std::vector<Buffer> out;
  std::vector<TensorView> views;
  std::vector<RunOutput> outputs;

  Part(const Prepared& prepared, std::uint32_t first, std::uint32_t last)
      : Part(need(prepared.engine->load(need(extract_segment(prepared.model, prepared.chain, first, last)).bytes, {}))) {}
  explicit Part(std::unique_ptr<Session> loaded) : session(std::move(loaded)) {
    for (const TensorSpec& spec : session->inputs()) {
      in.emplace_back(need(byte_size(spec.dtype, spec.shape)));
      auto* floats = reinterpret_cast<float*>(in.back().data());
      for (std::size_t i = 0; i < in.back().size() / 4; ++i) floats[i] = 0.25f + static_cast<float>(i % 97) * 0.01f;
    }
    for (const TensorSpec& spec : session->outputs()) out.emplace_back(need(byte_size(spec.dtype, spec.shape)));
    for (std::size_t i = 0; i < in.size(); ++i) views.push_back({&session->inputs()[i], in[i].span()});
    outputs.resize(out.size());
    for (std::size_t i = 0; i < out.size(); ++i) outputs[i].buffer = out[i].span();
  }
  double run() {
    const auto begin = Clock::now();
    need(session->run(views, outputs, {}));
    return milliseconds(Clock::now() - begin);
  }
};

void rest(const std::string& name) {
  const Prepared prepared = prepare_zoo(name);
  const auto cuts = equal_parts(prepared.chain, 3);
  Part part(prepared, cuts.back(), prepared.chain.block_count() - 1);
  Part other(prepared, 0, cuts.front() - 1);
  constexpr double kRest = 40;
  struct Way {
    const char* name;
    double sleep_ms, spin_ms;
    bool busy;  // another thread computes the first third meanwhile
  };
  const std::vector<Way> ways{{"no rest", 0, 0, false},
                              {"asleep", kRest, 0, false},
                              {"asleep, another computes", 0, 0, true},
                              {"spins the last 0.2 ms", kRest - 0.2, 0.2, false},
                              {"spins the last 1 ms", kRest - 1, 1, false},
                              {"spins the last 5 ms", kRest - 5, 5, false},
                              {"spins the last 20 ms", kRest - 20, 20, false},
                              {"spins all the time", 0, kRest, false}};
  std::vector<std::vector<double>> times(ways.size());
  std::vector<long> faults(ways.size(), 0);
  for (int round = 0; round < 25; ++round) {
    for (std::size_t w = 0; w < ways.size(); ++w) {
      if (ways[w].busy) {
        std::thread busy([&] { other.run(); });
        busy.join();
      } else {
        if (ways[w].sleep_ms > 0) std::this_thread::sleep_for(Millis(ways[w].sleep_ms));
        const auto until = Clock::now() + std::chrono::duration_cast<Clock::duration>(Millis(ways[w].spin_ms));
        while (Clock::now() < until) {
        }
      }
      const long before = page_faults();
      const double time = part.run();
      if (round < 3) continue;
      faults[w] += page_faults() - before;
      times[w].push_back(time);
    }
  }
  fmt::print(
      "### {}: its last third after a rest of {:.0f} ms\n\n| the thread | compute | over no rest | page faults a run |\n"
      "|---|---|---|---|\n",
      name, kRest);
  for (std::size_t w = 0; w < ways.size(); ++w)
    fmt::print("| {} | {:.2f} ms | **{:.3f}** | {} |\n", ways[w].name, median(times[w]), median(times[w]) / median(times[0]),
               faults[w] / static_cast<long>(times[w].size()));
  fmt::print("\n");
}

void cut_costs(const std::string& name) {
  const Prepared prepared = prepare_zoo(name);
  fmt::print(
      "### {}: the sum of the parts over the whole, one thread, no rest\n\n| cuts | tensors at the cuts | whole | parts | ratio "
      "| page "
      "faults whole / parts |\n|---|---|---|---|---|---|\n",
      name);
  std::vector<std::vector<std::uint32_t>> all;
  const auto three = equal_parts(prepared.chain, 3);
  all.push_back(equal_parts(prepared.chain, 2));
  all.push_back(three);
  for (int shift = -3; shift <= 3; ++shift) {
    const int at = static_cast<int>(all[0][0]) + shift;
    if (shift != 0 && at > 0 && at < static_cast<int>(prepared.chain.block_count()))
      all.push_back({static_cast<std::uint32_t>(at)});
  }
  Part whole(prepared, 0, prepared.chain.block_count() - 1);
  for (const auto& cuts : all) {
    std::vector<Part> parts;
    std::uint32_t first = 0;
    std::string names;
    for (const std::uint32_t cut : cuts) {
      parts.emplace_back(prepared, first, cut - 1);
      first = cut;
      for (const TensorSpec& spec : prepared.chain.cuts[cut].tensors) names += spec.name + " ";
    }
    parts.emplace_back(prepared, first, prepared.chain.block_count() - 1);
    std::vector<double> whole_ms, parts_ms;
    long whole_faults = 0, parts_faults = 0;
    for (int round = 0; round < 18; ++round) {
      long before = page_faults();
      const double a = whole.run();
      if (round >= 3) whole_faults += page_faults() - before;
      before = page_faults();
      double b = 0;
      for (Part& part : parts) b += part.run();
      if (round >= 3) parts_faults += page_faults() - before;
      if (round < 3) continue;
      whole_ms.push_back(a);
      parts_ms.push_back(b);
    }
    const auto n = static_cast<long>(whole_ms.size());
    fmt::print("| {} | {} | {:.2f} ms | {:.2f} ms | **{:.3f}** | {} / {} |\n", fmt::join(cuts, ", "), names, median(whole_ms),
               median(parts_ms), median(parts_ms) / median(whole_ms), whole_faults / n, parts_faults / n);
  }
  fmt::print("\n");
}

// By kind of kernel, how often and how long.
std::map<std::string, std::pair<int, double>> kernels_of(const Prepared& prepared, std::uint32_t first, std::uint32_t last) {
  const Segment segment = need(extract_segment(prepared.model, prepared.chain, first, last));
  Part part(need(prepared.engine->load(segment.bytes, {.kernel_profile = true})));
  for (int i = 0; i < 20; ++i) part.run();
  std::map<std::string, std::pair<int, double>> kinds;
  for (const KernelTime& kernel : need(part.session->kernel_times())) {
    auto& [count, time] = kinds[kernel.op_type];
    ++count;
    time += kernel.time.count();
  }
  return kinds;
}

void kernels(const std::string& name) {
  const Prepared prepared = prepare_zoo(name);
  const auto cuts = equal_parts(prepared.chain, 3);
  const auto whole = kernels_of(prepared, 0, prepared.chain.block_count() - 1);
  std::map<std::string, std::pair<int, double>> parts;
  std::uint32_t first = 0;
  for (std::size_t i = 0; i <= cuts.size(); ++i) {
    const std::uint32_t last = i < cuts.size() ? cuts[i] - 1 : prepared.chain.block_count() - 1;
    for (const auto& [kind, each] : kernels_of(prepared, first, last)) {
      parts[kind].first += each.first;
      parts[kind].second += each.second;
    }
    first = last + 1;
  }
  fmt::print("### {}: kernels of the whole and of its three parts (cuts {})\n\n| kernel | whole | parts |\n|---|---|---|\n", name,
             fmt::join(cuts, ", "));
  for (const auto& [kind, each] : parts) {
    const auto found = whole.find(kind);
    const auto before = found == whole.end() ? std::pair<int, double>{} : found->second;
    fmt::print("| {} | {} x, {:.2f} ms | {} x, {:.2f} ms |\n", kind, before.first, before.second, each.first, each.second);
  }
  fmt::print("\n");
}

}  // namespace
}  // namespace tideline::bench

int main(int argc, char** argv) {
  try {
    const std::string what = argc > 1 ? argv[1] : "";
    const std::string model = argc > 2 ? argv[2] : "resnet50";
    if (what == "rest") {
      tideline::bench::rest(model);
    } else if (what == "cuts") {
      tideline::bench::cut_costs(model);
    } else if (what == "kernels") {
      tideline::bench::kernels(model);
    } else {
      fmt::print(stderr, "usage: wake_bench rest|cuts|kernels [MODEL]\n");
      return 2;
    }
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "wake_bench: {}\n", error.what());
    return 1;
  }
}
