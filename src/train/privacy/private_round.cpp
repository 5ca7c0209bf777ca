#include "train/privacy/private_round.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <optional>
#include <random>

#include "train/strategy/draw.h"

namespace tideline::train {
namespace {

// Numbers from 0 up to and without 1, from the system or from a seed.
class SecretDraw {
 public:
  SecretDraw(const std::optional<std::uint64_t>& seed, DrawFor purpose, std::uint64_t round) {
    if (seed) seeded_.emplace(seed_of(*seed, purpose, {round}));
  }
  double unit() {
    if (seeded_) return seeded_->unit();
    const std::uint64_t bits = static_cast<std::uint64_t>(system_()) << 32 | system_();
    return static_cast<double>(bits >> 11) * 0x1.0p-53;
  }
  // Two independent standard normal numbers (Box and Muller 1958).
  std::array<double, 2> normal() {
    const double radius = std::sqrt(-2 * std::log(1 - unit())), angle = 2 * 3.14159265358979323846 * unit();
    return {radius * std::cos(angle), radius * std::sin(angle)};
  }

 private:
  std::optional<SeededDraw> seeded_;
  std::random_device system_;
};

}  // namespace

double sampling_rate(const Job& job) {
  const auto found = job.strategy.numbers.find("fraction");
  return found == job.strategy.numbers.end() ? 1 : found->second;
}

std::vector<std::uint32_t> PrivateRound::participants(std::uint64_t round, const std::vector<std::uint32_t>& able) const {
  SecretDraw draw(settings_.seed, DrawFor::kParticipants, round);
  const double q = sampling_rate(job_);
  std::vector<std::uint32_t> drawn;
  for (std::uint32_t worker = 0; worker < job_.workers; ++worker)
    if (draw.unit() < q && std::binary_search(able.begin(), able.end(), worker)) drawn.push_back(worker);
  return drawn;
}

std::vector<float> PrivateRound::update(std::uint64_t round, std::span<const Contribution> contributions,
                                        std::size_t numbers) const {
  std::vector<double> sum(numbers, 0);
  for (const Contribution& contribution : contributions) {
    const double norm = update_norm(contribution.update);
    const double scale = norm > settings_.clip ? settings_.clip / norm : 1;
    for (std::size_t i = 0; i < numbers; ++i) sum[i] += scale * static_cast<double>(contribution.update[i]);
  }
  SecretDraw draw(settings_.seed, DrawFor::kNoise, round);
  const double deviation = settings_.noise * settings_.clip;
  for (std::size_t i = 0; i < numbers; i += 2) {
    const auto noise = draw.normal();
    for (std::size_t k = 0; k < 2 && i + k < numbers; ++k) sum[i + k] += deviation * noise[k];
  }
  const double expected = sampling_rate(job_) * static_cast<double>(job_.workers);
  std::vector<float> update;
  update.reserve(numbers);
  for (const double number : sum) update.push_back(static_cast<float>(number / expected));
  return update;
}

}  // namespace tideline::train
