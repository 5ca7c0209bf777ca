#include "planner/graph_parts.h"

#include <algorithm>
#include <bit>

#include "base/check.h"

namespace tideline {

namespace {

using Edges = std::vector<std::pair<std::uint32_t, std::uint32_t>>;

Edges without_doubles(Edges edges) {
  std::sort(edges.begin(), edges.end());
  edges.erase(std::unique(edges.begin(), edges.end()), edges.end());
  return edges;
}

Edges edges_of(const OpGraph& graph) {
  Edges edges;
  for (const OpGraph::Tensor& tensor : graph.tensors)
    if (tensor.maker != OpGraph::kOutside)
      for (const std::uint32_t reader : tensor.readers) edges.emplace_back(tensor.maker, reader);
  return without_doubles(std::move(edges));
}

}  // namespace

PartWalker::PartWalker(const OpGraph& graph) : graph_(graph) { connect(edges_of(graph)); }

PartWalker::PartWalker(const OpGraph& graph, const std::vector<std::uint32_t>& order) : graph_(graph) {
  Edges row;
  for (std::size_t i = 1; i < order.size(); ++i) row.emplace_back(order[i - 1], order[i]);
  connect(row);
}

void PartWalker::connect(const Edges& order) {
  words_ = (graph_.ops + 63) / 64;
  after_.resize(graph_.ops);
  before_count_.assign(graph_.ops, 0);
  makes_.resize(graph_.ops);
  reads_.resize(graph_.ops);
  for (std::uint32_t t = 0; t < graph_.tensors.size(); ++t) {
    const OpGraph::Tensor& tensor = graph_.tensors[t];
    if (tensor.readers.empty() || tensor.bytes == 0) continue;
    if (tensor.maker != OpGraph::kOutside) makes_[tensor.maker].push_back(t);
    for (const std::uint32_t reader : tensor.readers) reads_[reader].push_back(t);
  }
  for (const auto& [from, to] : without_doubles(order)) {
    after_[from].push_back(to);
    ++before_count_[to];
  }
  // Latest first, each joins those right after it.
  std::vector<std::uint32_t> sorted, waiting = before_count_;
  for (std::uint32_t op = 0; op < graph_.ops; ++op)
    if (waiting[op] == 0) sorted.push_back(op);
  for (std::size_t i = 0; i < sorted.size(); ++i)
    for (const std::uint32_t next : after_[sorted[i]])
      if (--waiting[next] == 0) sorted.push_back(next);
  TIDELINE_CHECK(sorted.size() == graph_.ops);
  beyond_.assign(graph_.ops, none());
  for (auto op = sorted.rbegin(); op != sorted.rend(); ++op) {
    beyond_[*op][*op / 64] |= std::uint64_t{1} << (*op % 64);
    for (const std::uint32_t next : after_[*op])
      for (std::size_t w = 0; w < words_; ++w) beyond_[*op][w] |= beyond_[next][w];
  }
  missing_.resize(graph_.ops);
  is_before_.resize(graph_.tensors.size());
  unread_.resize(graph_.tensors.size());
  touched_.resize(graph_.tensors.size());
  gone_.assign(graph_.ops + 2, none());
}

PartWalker::Words PartWalker::all() const {
  Words set = none();
  for (std::uint32_t op = 0; op < graph_.ops; ++op) set[op / 64] |= std::uint64_t{1} << (op % 64);
  return set;
}

void PartWalker::begin(const Words& base) {
  set_ = base;
  candidates_.clear();
  missing_ = before_count_;
  for (std::size_t t = 0; t < graph_.tensors.size(); ++t) {
    const OpGraph::Tensor& tensor = graph_.tensors[t];
    is_before_[t] = tensor.maker == OpGraph::kOutside || in(base, tensor.maker);
    unread_[t] = static_cast<std::uint32_t>(tensor.readers.size());
    touched_[t] = 0;
  }
  for (std::uint32_t op = 0; op < graph_.ops; ++op) {
    if (!in(base, op)) continue;
    for (const std::uint32_t next : after_[op]) --missing_[next];
    for (const std::uint32_t tensor : reads_[op]) --unread_[tensor];
  }
  for (std::uint32_t op = 0; op < graph_.ops; ++op)
    if (!in(base, op) && missing_[op] == 0) candidates_.push_back(op);
}

bool PartWalker::walk(const Words& base, const Bounds& bounds, const Visit& visit) {
  begin(base);
  bounds_ = &bounds;
  visit_ = &visit;
  Branch root{.next = 0, .sums = {}, .left = 0};
  for (std::size_t t = 0; t < graph_.tensors.size(); ++t)
    if (is_before_[t] && unread_[t] > 0) root.sums.open += graph_.tensors[t].bytes;
  gone_[0] = none();
  return branch(root, 0);
}

void PartWalker::take(std::uint32_t op, PartSums& sums) {
  set_[op / 64] |= std::uint64_t{1} << (op % 64);
  sums.work += (*bounds_->work)[op];
  if (bounds_->size != nullptr) sums.size += (*bounds_->size)[op];
  for (const std::uint32_t t : makes_[op]) {
    sums.leave += graph_.tensors[t].bytes;
    sums.open += graph_.tensors[t].bytes;
  }
  for (const std::uint32_t t : reads_[op]) {
    const double bytes = graph_.tensors[t].bytes;
    const bool is_last = --unread_[t] == 0;
    if (is_last) sums.open -= bytes;
    if (is_before_[t]) {
      if (touched_[t]++ == 0) sums.enter += bytes;
    } else if (is_last) {
      sums.leave -= bytes;
    }
  }
  for (const std::uint32_t next : after_[op])
    if (--missing_[next] == 0) candidates_.push_back(next);
}

void PartWalker::put_back(std::uint32_t op) {
  set_[op / 64] &= ~(std::uint64_t{1} << (op % 64));
  for (const std::uint32_t t : reads_[op]) {
    ++unread_[t];
    if (is_before_[t]) --touched_[t];
  }
  for (const std::uint32_t next : after_[op]) ++missing_[next];
}

// What is left more when the op and all beyond it stay out; also notes them for the next depth.
double PartWalker::lost(std::uint32_t op, std::size_t depth) {
  const Words& gone = gone_[depth];
  Words& next = gone_[depth + 1];
  double sum = 0;
  for (std::size_t w = 0; w < words_; ++w) {
    next[w] = gone[w] | beyond_[op][w];
    for (std::uint64_t fresh = next[w] & ~gone[w]; fresh != 0; fresh &= fresh - 1)
      sum += (*bounds_->rest)[w * 64 + static_cast<std::size_t>(std::countr_zero(fresh))];
  }
  return sum;
}

bool PartWalker::branch(const Branch& at, std::size_t depth) {
  if (at.next == candidates_.size()) return (*visit_)(set_, at.sums);
  const std::uint32_t op = candidates_[at.next];
  const std::size_t candidates = candidates_.size();
  Branch with{.next = at.next + 1, .sums = at.sums, .left = at.left};
  take(op, with.sums);
  const bool fits = with.sums.work + bounds_->transfer * with.sums.enter <= bounds_->work_max &&
                    (bounds_->size == nullptr || with.sums.size <= bounds_->size_max);
  bool goes_on = true;
  if (fits) {
    if (bounds_->rest != nullptr) gone_[depth + 1] = gone_[depth];
    goes_on = branch(with, depth + 1);
  }
  candidates_.resize(candidates);
  put_back(op);
  if (!goes_on) return false;
  Branch without{.next = at.next + 1, .sums = at.sums, .left = at.left};
  if (bounds_->rest != nullptr) {
    without.left += lost(op, depth);
    if (without.left > bounds_->rest_max) return true;
  }
  return branch(without, depth + 1);
}

std::vector<std::uint32_t> PartWalker::depth_first(const OpGraph& graph) {
  std::vector<std::vector<std::uint32_t>> inputs(graph.ops);
  std::vector<bool> has_reader(graph.ops, false), done(graph.ops, false);
  for (const auto& [from, to] : edges_of(graph)) {
    inputs[to].push_back(from);
    has_reader[from] = true;
  }
  std::vector<std::uint32_t> order;
  // (op, how many of its inputs were looked at)
  std::vector<std::pair<std::uint32_t, std::size_t>> stack;
  for (std::uint32_t last = 0; last < graph.ops; ++last) {
    if (has_reader[last] || done[last]) continue;
    done[last] = true;
    stack.emplace_back(last, 0);
    while (!stack.empty()) {
      auto& [op, looked] = stack.back();
      if (looked == inputs[op].size()) {
        order.push_back(op);
        stack.pop_back();
        continue;
      }
      const std::uint32_t input = inputs[op][looked++];
      if (done[input]) continue;
      done[input] = true;
      stack.emplace_back(input, 0);
    }
  }
  return order;
}

}  // namespace tideline
