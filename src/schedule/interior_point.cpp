#include "schedule/interior_point.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <limits>

#include "schedule/cholesky.h"
#include "schedule/parallel.h"
#include "schedule/price_list.h"

namespace tideline::schedule {
namespace {

constexpr int kIterationsMax = 80;
// How far towards the boundary a step goes.
constexpr double kStepShare = 0.9995;
// Of the centrality correctors (the values Gondzio recommends, with a bolder growth).
constexpr int kCorrectorsMax = 2;
constexpr double kLongStep = 0.9;  // long enough already
constexpr double kStepGrowth = 0.3;
constexpr double kStepGainMin = 0.03;
constexpr double kCentralMin = 0.1, kCentralMax = 10;
// Of Newton's matrix, summed up at a time: half a megabyte, which stays in the second-level cache.
constexpr std::size_t kPanelBlocks = 1 << 15;
// A resource with nothing left keeps this much, so that the method has an inside to walk through.
constexpr double kLeftMin = 1e-7;

// The linear relaxation in the form the method works on:
//   maximise sum x_jk   with   sum_jk a_jk x_jk + w = right   (2E rows),   sum_k x_jk + t_j = 1,   x, w, t >= 0
//   minimise right.lambda + sum s_j   with   a_jk.lambda + s_j - z_jk = 1,   lambda, s, z >= 0
// and a_jk = ratio_k * u_j (on bandwidth rows) + gflop_per_mb_k * v_j (on compute rows). Rows 2i and 2i+1 belong to server i.
// Newton's equations for x z = w lambda = t s = mu, with dz, dx, ds, dt and dw eliminated in this order, leave
//   [ sum_j (sum_k theta a a^T - (sum_k theta a)(sum_k theta a)^T / D_j) + diag(w / lambda) ] dlambda = ...
// with theta = x / z and D_j = sum_k theta + t / s. The bracket of a task is (u_j v_j) M_j (u_j v_j)^T with M_j 2 x 2.
class InteriorPoint {
 public:
  InteriorPoint(const Instance& instance, const CutTable& cuts, const DualOptions& options)
      : instance_(instance),
        cuts_(cuts),
        options_(options),
        rows_(2 * instance.servers.size()),
        threads_(instance.touches.size() < 4000 ? 1 : thread_count(options.threads)) {
    start();
  }

  DualResult run() {
    const auto begin = std::chrono::steady_clock::now();
    DualResult result;
    while (result.iterations < kIterationsMax) {
      const Progress now = assemble();
      if (now.bound < best_bound_) {
        best_bound_ = now.bound;
        best_lambda_ = lambda_;
      }
      // Complementarity is the gap once both sides are feasible; the primal residual stands for the rest.
      if (now.complementarity + now.primal_residual * best_bound_ < std::max(options_.gap * best_bound_, options_.gap_tasks)) {
        result.converged = true;
        break;
      }
      if (options_.cancel.cancelled() || std::chrono::steady_clock::now() - begin > options_.time_limit) break;
      if (!step(now)) break;
      ++result.iterations;
    }
    finish(result);
    return result;
  }

 private:
  struct Pair {
    double bandwidth = 0;
    double compute = 0;
  };
  // Of one task: everything the two right sides and the back-substitution need.
  struct TaskState {
    double s = 0.5, t = 0.5;
    double ds = 0, dt = 0;
    double target = 0;  // what s * t should become, less the second-order term
    TaskPrices prices;
  };
  struct Column {
    double x = 0, z = 0;
    double dx = 0, dz = 0;
    double target = 0;  // of x * z
  };
  struct Progress {
    double bound = 0;
    double complementarity = 0;
    double primal_residual = 0;
  };
  // What the rows of two servers share of Newton's matrix.
  struct alignas(32) Block {
    double bandwidth_bandwidth = 0, bandwidth_compute = 0, compute_bandwidth = 0, compute_compute = 0;
  };
  // M_j of a task.
  struct Curvature {
    double output_output = 0, output_work = 0, work_work = 0;
  };
  // A task on one of its servers.
  struct Visit {
    std::uint32_t task = 0;
    std::uint32_t touch = 0;
  };
  // Servers [begin, end), and their visits.
  struct Panel {
    std::size_t begin = 0, end = 0;
    std::size_t first_visit = 0, end_visit = 0;
  };
  // What a thread sums up.
  struct Sums {
    std::vector<double> right_side;
    double bound = 0;
    double complementarity = 0;
    double primal_residual = 0;
    double step_primal = 1, step_dual = 1;
    double after_step = 0;
  };
  enum class Phase { kPredictor, kCorrector };  // the predictor aims at products of 0, the corrector at the targets

  std::span<const Cut> cuts_of(std::size_t j) const { return cuts_.of(instance_.tasks[j]); }

  void start() {
    const std::size_t tasks = instance_.tasks.size();
    unit_.resize(instance_.servers.size());
    right_.resize(rows_, 1);
    for (std::size_t i = 0; i < instance_.servers.size(); ++i) {
      unit_[i] = {.bandwidth = 1 / (instance_.bandwidth_share * instance_.servers[i].bandwidth_mbit_s),
                  .compute = 1 / instance_.servers[i].capacity_gflop_s};
      if (!options_.bandwidth_left.empty()) right_[2 * i] = std::max(options_.bandwidth_left[i], kLeftMin);
      if (!options_.compute_left.empty()) right_[2 * i + 1] = std::max(options_.compute_left[i], kLeftMin);
    }
    first_column_.resize(tasks + 1, 0);
    for (std::size_t j = 0; j < tasks; ++j) first_column_[j + 1] = first_column_[j] + cuts_of(j).size();
    columns_.resize(first_column_.back());
    task_.resize(tasks);
    curvature_.resize(tasks);
    matrix_.resize(rows_ * rows_);
    list_visits();
    // A start inside: every task half in, prices that add up to a tenth of the tasks.
    lambda_.assign(rows_, std::max(0.5, static_cast<double>(tasks) / 10) / static_cast<double>(rows_));
    slack_.assign(rows_, 0);
    delta_lambda_.assign(rows_, 0);
    delta_slack_.assign(rows_, 0);
    target_.assign(rows_, 0);
    for (std::size_t r = 0; r < rows_; ++r) slack_[r] = 0.5 * right_[r];
    sums_.resize(threads_);
    compute_prices(lambda_, &TaskState::prices);
    for (std::size_t j = 0; j < tasks; ++j) {
      const auto cuts = cuts_of(j);
      for (std::size_t c = 0; c < cuts.size(); ++c) {
        Column& column = columns_[first_column_[j] + c];
        column.x = 0.5 / static_cast<double>(cuts.size());
        column.z = std::max(0.5, task_[j].prices.cost(cuts[c]) + task_[j].s - 1);
      }
    }
  }

  // The servers in panels of about kPanelBlocks blocks, and the visits of each panel by rising task.
  void list_visits() {
    std::vector<std::uint32_t> panel_of(instance_.servers.size());
    for (std::size_t i = 0; i < instance_.servers.size(); ++i) {
      if (panels_.empty() || triangle(i + 1) - triangle(panels_.back().begin) > kPanelBlocks) panels_.push_back({.begin = i});
      panels_.back().end = i + 1;
      panel_of[i] = static_cast<std::uint32_t>(panels_.size() - 1);
    }
    for (const Task& task : instance_.tasks)
      for (const Touch& touch : instance_.touches_of(task)) ++panels_[panel_of[touch.server]].end_visit;
    std::size_t visits = 0;
    for (Panel& panel : panels_) {
      panel.first_visit = visits;
      visits += panel.end_visit;
      panel.end_visit = panel.first_visit;
    }
    visits_.resize(visits);
    for (std::uint32_t j = 0; j < task_.size(); ++j) {
      const auto touches = instance_.touches_of(instance_.tasks[j]);
      for (std::uint32_t n = 0; n < touches.size(); ++n)
        visits_[panels_[panel_of[touches[n].server]].end_visit++] = {.task = j, .touch = n};
    }
  }

  TaskPrices prices_of(const Task& task, const std::vector<double>& lambda) const {
    TaskPrices prices;
    for (const Touch& touch : instance_.touches_of(task)) {
      const Pair& unit = unit_[touch.server];
      prices.of_output += lambda[2 * touch.server] * unit.bandwidth * touch.data_mb_s;
      prices.of_work += lambda[2 * touch.server + 1] * unit.compute * touch.data_mb_s;
    }
    prices.of_output *= 8 / task.latency_s;
    return prices;
  }

  void compute_prices(const std::vector<double>& lambda, TaskPrices TaskState::*target) {
    parallel_for(threads_, task_.size(), [&](unsigned, std::size_t begin, std::size_t end) {
      for (std::size_t j = begin; j < end; ++j) task_[j].*target = prices_of(instance_.tasks[j], lambda);
    });
  }

  double mu_count() const { return static_cast<double>(columns_.size() + task_.size() + rows_); }

  // One pass over the tasks: the matrix, the predictor's right side, and how far we are.
  Progress assemble() {
    parallel_for(threads_, task_.size(), [&](unsigned thread, std::size_t begin, std::size_t end) {
      Sums& sums = sums_[thread];
      sums = Sums{.right_side = std::move(sums.right_side)};
      sums.right_side.assign(rows_, 0);
      for (std::size_t j = begin; j < end; ++j) {
        task_[j].prices = prices_of(instance_.tasks[j], lambda_);
        curvature_[j] = curvature_of(j);
        assemble_right_side(j, Phase::kPredictor, sums);
        measure(j, sums);
      }
    });
    Progress progress;
    for (const Sums& sums : sums_) {
      progress.bound += sums.bound;
      progress.complementarity += sums.complementarity;
      progress.primal_residual = std::max(progress.primal_residual, sums.primal_residual);
    }
    for (std::size_t r = 0; r < rows_; ++r) {
      progress.bound += lambda_[r] * right_[r];
      progress.complementarity += lambda_[r] * slack_[r];
    }
    return progress;
  }

  void measure(std::size_t j, Sums& sums) {
    const TaskState& task = task_[j];
    const auto cuts = cuts_of(j);
    double cheapest = std::numeric_limits<double>::infinity();
    double share = 0;
    for (std::size_t c = 0; c < cuts.size(); ++c) {
      const Column& column = columns_[first_column_[j] + c];
      cheapest = std::min(cheapest, task.prices.cost(cuts[c]));
      sums.complementarity += column.x * column.z;
      share += column.x;
    }
    sums.complementarity += task.s * task.t;
    sums.bound += std::max(0.0, 1 - cheapest);
    sums.primal_residual = std::max(sums.primal_residual, std::abs(1 - share - task.t));
  }

  Curvature curvature_of(std::size_t j) const {
    const TaskState& state = task_[j];
    const Task& task = instance_.tasks[j];
    const auto cuts = cuts_of(j);
    double theta_sum = state.t / state.s, r = 0, l = 0, rr = 0, rl = 0, ll = 0;
    for (std::size_t c = 0; c < cuts.size(); ++c) {
      const Column& column = columns_[first_column_[j] + c];
      const double theta = column.x / column.z;
      const double ratio = cuts[c].ratio * 8 / task.latency_s;
      const double work = cuts[c].gflop_per_mb;
      theta_sum += theta;
      r += theta * ratio;
      l += theta * work;
      rr += theta * ratio * ratio;
      rl += theta * ratio * work;
      ll += theta * work * work;
    }
    rr -= r * r / theta_sum;
    rl -= r * l / theta_sum;
    ll -= l * l / theta_sum;
    return {.output_output = rr, .output_work = rl, .work_work = ll};
  }

  // Newton's matrix, panel by panel: the rows of a few servers are a sum over their tasks that stays in the cache, and no two
  // threads write to the same.
  void assemble_matrix() {
    std::atomic<std::size_t> next = 0;
    parallel_for(threads_, threads_, [&](unsigned, std::size_t, std::size_t) {
      std::vector<Block> blocks;
      for (std::size_t p = next++; p < panels_.size(); p = next++) {
        const Panel& panel = panels_[p];
        blocks.assign(triangle(panel.end) - triangle(panel.begin), Block{});
        for (std::size_t n = panel.first_visit; n < panel.end_visit; ++n) add_task(visits_[n], triangle(panel.begin), blocks);
        const Block* block = blocks.data();
        for (std::size_t a = panel.begin; a < panel.end; ++a) {
          double* const to = matrix_.data() + 2 * a * rows_;
          for (std::size_t b = 0; b <= a; ++b, ++block) {
            to[2 * b] = block->bandwidth_bandwidth;
            to[2 * b + 1] = block->bandwidth_compute;
            to[rows_ + 2 * b] = block->compute_bandwidth;
            to[rows_ + 2 * b + 1] = block->compute_compute;
          }
        }
      }
    });
    for (std::size_t r = 0; r < rows_; ++r) matrix_[r * rows_ + r] += slack_[r] / lambda_[r];
  }

  // Where the blocks of a server begin: block (a, b) of the lower triangle is at a (a + 1) / 2 + b.
  static std::size_t triangle(std::size_t server) { return server * (server + 1) / 2; }

  void add_task(const Visit& visit, std::size_t first_block, std::vector<Block>& blocks) const {
    const Curvature& m = curvature_[visit.task];
    const auto touches = instance_.touches_of(instance_.tasks[visit.task]).first(visit.touch + 1);
    const Touch& last = touches.back();
    const Pair& unit = unit_[last.server];
    const double u = last.data_mb_s * unit.bandwidth, v = last.data_mb_s * unit.compute;
    const double u_rr = u * m.output_output, u_rl = u * m.output_work, v_rl = v * m.output_work, v_ll = v * m.work_work;
    Block* const row = blocks.data() + (triangle(last.server) - first_block);
    for (const Touch& touch : touches) {
      const Pair& other = unit_[touch.server];
      const double ub = touch.data_mb_s * other.bandwidth, vb = touch.data_mb_s * other.compute;
      Block& block = row[touch.server];
      block.bandwidth_bandwidth += u_rr * ub;
      block.bandwidth_compute += u_rl * vb;
      block.compute_bandwidth += v_rl * ub;
      block.compute_compute += v_ll * vb;
    }
  }

  // h_jk and g_j of the elimination: dx_jk = h_jk - theta (a_jk.dlambda + ds_j).
  double h_of(const TaskState& task, const Column& column, const Cut& cut, Phase phase) const {
    const double residual = 1 - (task.prices.cost(cut) + task.s - column.z);
    const double target = phase == Phase::kPredictor ? 0 : column.target;
    return (target - column.x * column.z + column.x * residual) / column.z;
  }

  double g_of(std::size_t j, Phase phase, std::span<const double> h) const {
    const TaskState& task = task_[j];
    double g = 0, share = 0;
    for (std::size_t c = 0; c < h.size(); ++c) {
      g += h[c];
      share += columns_[first_column_[j] + c].x;
    }
    const double target = phase == Phase::kPredictor ? 0 : task.target;
    return g + (target - task.s * task.t) / task.s - (1 - share - task.t);
  }

  // Calls body(h, g, theta_sum) of one task.
  template <typename Body>
  void eliminate(std::size_t j, Phase phase, const Body& body) const {
    const TaskState& task = task_[j];
    const auto cuts = cuts_of(j);
    thread_local std::vector<double> h;
    h.resize(cuts.size());
    double theta_sum = task.t / task.s;
    for (std::size_t c = 0; c < cuts.size(); ++c) {
      const Column& column = columns_[first_column_[j] + c];
      h[c] = h_of(task, column, cuts[c], phase);
      theta_sum += column.x / column.z;
    }
    body(std::span<const double>(h), g_of(j, phase, h), theta_sum);
  }

  void assemble_right_side(std::size_t j, Phase phase, Sums& sums) const {
    eliminate(j, phase, [&](std::span<const double> h, double g, double theta_sum) {
      const Task& task = instance_.tasks[j];
      const auto cuts = cuts_of(j);
      double output = 0, work = 0;
      for (std::size_t c = 0; c < cuts.size(); ++c) {
        const Column& column = columns_[first_column_[j] + c];
        const double weight = h[c] + column.x - column.x / column.z * g / theta_sum;
        output += weight * cuts[c].ratio;
        work += weight * cuts[c].gflop_per_mb;
      }
      output *= 8 / task.latency_s;
      for (const Touch& touch : instance_.touches_of(task)) {
        const Pair& unit = unit_[touch.server];
        sums.right_side[2 * touch.server] += output * unit.bandwidth * touch.data_mb_s;
        sums.right_side[2 * touch.server + 1] += work * unit.compute * touch.data_mb_s;
      }
    });
  }

  // dlambda from the factored matrix, dw from dlambda.
  void solve_rows(const Cholesky& factors, Phase phase) {
    std::vector<double> side(rows_, 0);
    std::vector<double> target(rows_);
    for (std::size_t r = 0; r < rows_; ++r) {
      for (const Sums& sums : sums_) side[r] += sums.right_side[r];
      target[r] = (phase == Phase::kPredictor ? 0 : target_[r]) - slack_[r] * lambda_[r];
      side[r] += target[r] / lambda_[r] + slack_[r] - right_[r];
    }
    factors.solve(side);
    for (std::size_t r = 0; r < rows_; ++r) {
      delta_lambda_[r] = side[r];
      delta_slack_[r] = (target[r] - slack_[r] * side[r]) / lambda_[r];
    }
  }

  // The other directions by back-substitution, and how long a step stays inside.
  void directions(Phase phase) {
    parallel_for(threads_, task_.size(), [&](unsigned thread, std::size_t begin, std::size_t end) {
      Sums& sums = sums_[thread];
      sums.step_primal = sums.step_dual = std::numeric_limits<double>::infinity();
      for (std::size_t j = begin; j < end; ++j) task_directions(j, phase, sums);
    });
  }

  static void limit(double& step, double value, double delta) {
    if (delta < 0) step = std::min(step, -value / delta);
  }

  void task_directions(std::size_t j, Phase phase, Sums& sums) {
    const TaskPrices delta = prices_of(instance_.tasks[j], delta_lambda_);
    const auto cuts = cuts_of(j);
    eliminate(j, phase, [&](std::span<const double> h, double g, double theta_sum) {
      TaskState& task = task_[j];
      double weighted = 0;
      for (std::size_t c = 0; c < cuts.size(); ++c) {
        const Column& column = columns_[first_column_[j] + c];
        weighted += column.x / column.z * delta.cost(cuts[c]);
      }
      const double s_target = (phase == Phase::kPredictor ? 0 : task.target) - task.s * task.t;
      const double ds = (g - weighted) / theta_sum;
      for (std::size_t c = 0; c < cuts.size(); ++c) {
        Column& column = columns_[first_column_[j] + c];
        const double price_change = delta.cost(cuts[c]) + ds;
        const double residual = 1 - (task.prices.cost(cuts[c]) + task.s - column.z);
        column.dx = h[c] - column.x / column.z * price_change;
        column.dz = price_change - residual;
        limit(sums.step_primal, column.x, column.dx);
        limit(sums.step_dual, column.z, column.dz);
      }
      task.ds = ds;
      task.dt = (s_target - task.t * ds) / task.s;
      limit(sums.step_dual, task.s, task.ds);
      limit(sums.step_primal, task.t, task.dt);
    });
  }

  std::array<double, 2> step_lengths() const {
    double primal = std::numeric_limits<double>::infinity(), dual = primal;
    for (const Sums& sums : sums_) {
      primal = std::min(primal, sums.step_primal);
      dual = std::min(dual, sums.step_dual);
    }
    for (std::size_t r = 0; r < rows_; ++r) {
      limit(primal, slack_[r], delta_slack_[r]);
      limit(dual, lambda_[r], delta_lambda_[r]);
    }
    return {std::min(1.0, kStepShare * primal), std::min(1.0, kStepShare * dual)};
  }

  double complementarity_after(double primal, double dual) {
    parallel_for(threads_, task_.size(), [&](unsigned thread, std::size_t begin, std::size_t end) {
      double sum = 0;
      for (std::size_t c = first_column_[begin]; c < first_column_[end]; ++c)
        sum += (columns_[c].x + primal * columns_[c].dx) * (columns_[c].z + dual * columns_[c].dz);
      for (std::size_t j = begin; j < end; ++j) sum += (task_[j].t + primal * task_[j].dt) * (task_[j].s + dual * task_[j].ds);
      sums_[thread].after_step = sum;
    });
    double sum = 0;
    for (const Sums& sums : sums_) sum += sums.after_step;
    for (std::size_t r = 0; r < rows_; ++r)
      sum += (slack_[r] + primal * delta_slack_[r]) * (lambda_[r] + dual * delta_lambda_[r]);
    return sum;
  }

  // The directions towards the targets.
  void solve_corrector(const Cholesky& factors) {
    parallel_for(threads_, task_.size(), [&](unsigned thread, std::size_t begin, std::size_t end) {
      sums_[thread].right_side.assign(rows_, 0);
      for (std::size_t j = begin; j < end; ++j) assemble_right_side(j, Phase::kCorrector, sums_[thread]);
    });
    solve_rows(factors, Phase::kCorrector);
    directions(Phase::kCorrector);
  }

  // Sets the target of every pair (value, dual value) to rule(value after a full primal step, dual value after a full dual step,
  // product of the two steps, target so far).
  template <typename Rule>
  void set_targets(const Rule& rule, double primal = 1, double dual = 1) {
    parallel_for(threads_, task_.size(), [&](unsigned, std::size_t begin, std::size_t end) {
      for (std::size_t c = first_column_[begin]; c < first_column_[end]; ++c) {
        Column& column = columns_[c];
        column.target = rule(column.x + primal * column.dx, column.z + dual * column.dz, column.dx * column.dz, column.target);
      }
      for (std::size_t j = begin; j < end; ++j) {
        TaskState& task = task_[j];
        task.target = rule(task.t + primal * task.dt, task.s + dual * task.ds, task.dt * task.ds, task.target);
      }
    });
    for (std::size_t r = 0; r < rows_; ++r)
      target_[r] = rule(slack_[r] + primal * delta_slack_[r], lambda_[r] + dual * delta_lambda_[r],
                        delta_slack_[r] * delta_lambda_[r], target_[r]);
  }

  // Gondzio's centrality correctors: ask for a longer step, pull the products that it would leave far from the target back
  // towards it, and keep the new directions when the step has become longer. Each costs two passes over the tasks, a
  // small part of what a matrix costs, and together they save a third of the matrices.
  std::array<double, 2> centred(const Cholesky& factors, std::array<double, 2> steps, double mu) {
    for (int corrector = 0; corrector < kCorrectorsMax && std::min(steps[0], steps[1]) < kLongStep; ++corrector) {
      const auto columns = columns_;
      const auto tasks = task_;
      const auto delta_lambda = delta_lambda_, delta_slack = delta_slack_;
      set_targets(
          [mu](double value, double dual_value, double, double target) {
            const double product = value * dual_value;
            const double pull = std::clamp(product, kCentralMin * mu, kCentralMax * mu) - product;
            return target + std::max(pull, -kCentralMax * mu);
          },
          std::min(1.0, steps[0] + kStepGrowth), std::min(1.0, steps[1] + kStepGrowth));
      solve_corrector(factors);
      const auto longer = step_lengths();
      if (longer[0] + longer[1] < steps[0] + steps[1] + kStepGainMin) {
        columns_ = columns;
        task_ = tasks;
        delta_lambda_ = delta_lambda;
        delta_slack_ = delta_slack;
        break;
      }
      steps = longer;
    }
    return steps;
  }

  // One predictor and corrector. False when no progress is possible any more.
  bool step(const Progress& now) {
    assemble_matrix();
    const Cholesky factors(matrix_, rows_, threads_);

    solve_rows(factors, Phase::kPredictor);
    directions(Phase::kPredictor);
    auto [primal, dual] = step_lengths();
    const double mu = now.complementarity / mu_count();
    const double ratio = complementarity_after(primal, dual) / now.complementarity;
    const double target = mu * ratio * ratio * ratio;

    set_targets([target](double, double, double second_order, double) { return target - second_order; });
    solve_corrector(factors);
    const auto steps = centred(factors, step_lengths(), target);
    primal = steps[0];
    dual = steps[1];
    if (!(primal > 1e-10 || dual > 1e-10)) return false;
    move(primal, dual);
    return true;
  }

  void move(double primal, double dual) {
    parallel_for(threads_, task_.size(), [&](unsigned, std::size_t begin, std::size_t end) {
      for (std::size_t c = first_column_[begin]; c < first_column_[end]; ++c) {
        columns_[c].x += primal * columns_[c].dx;
        columns_[c].z += dual * columns_[c].dz;
      }
      for (std::size_t j = begin; j < end; ++j) {
        task_[j].t += primal * task_[j].dt;
        task_[j].s += dual * task_[j].ds;
      }
    });
    for (std::size_t r = 0; r < rows_; ++r) {
      slack_[r] += primal * delta_slack_[r];
      lambda_[r] += dual * delta_lambda_[r];
    }
  }

  void finish(DualResult& result) {
    result.upper_bound = best_bound_;
    for (std::size_t r = 0; r < rows_; r += 2) {
      result.multipliers.bandwidth.push_back(best_lambda_[r]);
      result.multipliers.compute.push_back(best_lambda_[r + 1]);
    }
  }

  const Instance& instance_;
  const CutTable& cuts_;
  const DualOptions& options_;
  const std::size_t rows_;
  const unsigned threads_;
  std::vector<Pair> unit_;  // one over the available bandwidth and compute of each server
  std::vector<double> right_;
  std::vector<double> lambda_, slack_, delta_lambda_, delta_slack_, target_;
  std::vector<std::size_t> first_column_;
  std::vector<Column> columns_;
  std::vector<TaskState> task_;
  std::vector<Sums> sums_;
  std::vector<Curvature> curvature_;
  std::vector<Panel> panels_;
  std::vector<Visit> visits_;
  std::vector<double> matrix_;
  double best_bound_ = std::numeric_limits<double>::infinity();
  std::vector<double> best_lambda_;
};

}  // namespace

DualResult solve_interior_point(const Instance& instance, const CutTable& cuts, const DualOptions& options) {
  return InteriorPoint(instance, cuts, options).run();
}

}  // namespace tideline::schedule
