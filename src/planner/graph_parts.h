// Contiguous parts of a graph of ops: everything between two down-sets (sets that hold, with an op, all that it needs), each
// once, with what crosses their borders. Internal to src/planner.
//
// A down-set is `words()` words of bits. The walk is a binary tree over "the next op that could run is in" and "it is not, and so
// is nothing that needs it"; each leaf is one down-set, so no part is met twice and nothing is stored. Branches that are too much
// work, or can no longer become enough, are cut off. O(degree + words) for each branch.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace tideline {

struct OpGraph {
  // What one op makes and others read; each op that reads it comes after the one that makes it.
  struct Tensor {
    std::uint32_t maker = kOutside;
    double bytes = 0;
    std::vector<std::uint32_t> readers;  // each once
  };
  static constexpr std::uint32_t kOutside = 0xffffffffu;  // the maker of what is there before any op
  std::uint32_t ops = 0;
  std::vector<Tensor> tensors;  // acyclic
};

// What a part is, added up op by op.
struct PartSums {
  double work = 0;   // of its ops
  double size = 0;   // of its ops
  double enter = 0;  // bytes of tensors made before it that it reads, each once
  double leave = 0;  // bytes of its tensors that are read after it
  double open = 0;   // bytes of all tensors made before or in it that are read after it
};

class PartWalker {
 public:
  using Words = std::vector<std::uint64_t>;

  explicit PartWalker(const OpGraph& graph);
  // Only down-sets that are prefixes of this order of all ops, each after those it needs.
  PartWalker(const OpGraph& graph, const std::vector<std::uint32_t>& order);

  std::size_t words() const { return words_; }
  // No op, and every op.
  Words none() const { return Words(words_, 0); }
  Words all() const;

  struct Bounds {
    const std::vector<double>* work = nullptr;  // [op]; infinite: never in a part
    double work_max = 0;
    double transfer = 0;                        // work for each byte that enters and leaves
    const std::vector<double>* size = nullptr;  // [op]; null: sizes do not count
    double size_max = 0;
    const std::vector<double>* rest = nullptr;  // [op], finite; null: whatever is left after the part
    double rest_max = 0;                        // the most that the ops after the part may add up to
  };
  // Called with the down-set where the part ends. False ends the walk.
  using Visit = std::function<bool(const Words& end, const PartSums& sums)>;
  // Every part that begins where `base` ends, of at most that work with what enters it, that size, and that rest after it; the
  // empty one among them. False when a visit ended it.
  bool walk(const Words& base, const Bounds& bounds, const Visit& visit);

  // A topological order by depth first from the ops that nobody needs: neighbours stay together.
  static std::vector<std::uint32_t> depth_first(const OpGraph& graph);

 private:
  struct Branch {
    std::size_t next;  // index in candidates_
    PartSums sums;
    double left;  // the least that can still be left after the part
  };
  void connect(const std::vector<std::pair<std::uint32_t, std::uint32_t>>& order);
  bool in(const Words& set, std::uint32_t op) const { return (set[op / 64] >> (op % 64) & 1) != 0; }
  void begin(const Words& base);
  bool branch(const Branch& at, std::size_t depth);
  void take(std::uint32_t op, PartSums& sums);
  void put_back(std::uint32_t op);
  double lost(std::uint32_t op, std::size_t depth);

  const OpGraph graph_;
  std::size_t words_ = 0;
  std::vector<std::vector<std::uint32_t>> after_;  // [op]: who may come next, by order
  std::vector<std::uint32_t> before_count_;        // [op]
  std::vector<std::vector<std::uint32_t>> makes_;  // [op]: tensors that somebody reads
  std::vector<std::vector<std::uint32_t>> reads_;  // [op]: tensors
  std::vector<Words> beyond_;                      // [op]: itself and all that need it

  // Of the walk under way.
  const Bounds* bounds_ = nullptr;
  const Visit* visit_ = nullptr;
  Words set_;
  std::vector<std::uint32_t> missing_;  // [op]: of those before it
  std::vector<bool> is_before_;         // [tensor]: made before the part
  std::vector<std::uint32_t> unread_;   // [tensor]: readers that are not in the set
  std::vector<std::uint32_t> touched_;  // [tensor]: readers in the part
  std::vector<std::uint32_t> candidates_;
  std::vector<Words> gone_;  // [depth]
};

}  // namespace tideline
