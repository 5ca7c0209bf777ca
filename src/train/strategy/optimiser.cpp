#include "train/strategy/optimiser.h"

#include <algorithm>
#include <cmath>

namespace tideline::train {

double rate_at(const OptimiserSettings& settings, std::uint64_t round, std::uint64_t rounds) {
  using Schedule = OptimiserSettings::Schedule;
  const double at = static_cast<double>(round);
  double rate = settings.rate;
  if (settings.schedule == Schedule::kCosine)
    rate *= 0.5 * (1 + std::cos(3.14159265358979323846 * at / static_cast<double>(std::max<std::uint64_t>(rounds, 1))));
  if (settings.schedule == Schedule::kStep)
    rate *= std::pow(settings.step_factor, static_cast<double>(round / std::max<std::size_t>(settings.step_rounds, 1)));
  if (round < settings.warmup_rounds) rate *= (at + 1) / static_cast<double>(settings.warmup_rounds);
  return rate;
}

Optimiser::Optimiser(const OptimiserSettings& settings, std::size_t numbers) : settings_(settings) {
  const bool is_adam = settings.name == OptimiserSettings::Name::kAdam;
  if (is_adam || settings.momentum > 0) first_.assign(numbers, 0.0F);
  if (is_adam) second_.assign(numbers, 0.0F);
}

void Optimiser::step(std::span<float> parameters, std::span<const float> gradient, double rate) {
  ++steps_;
  const auto eta = static_cast<float>(rate), decay = static_cast<float>(settings_.weight_decay);
  if (settings_.name == OptimiserSettings::Name::kAdam) {
    const auto b1 = static_cast<float>(settings_.beta1), b2 = static_cast<float>(settings_.beta2);
    const auto epsilon = static_cast<float>(settings_.epsilon);
    const auto fix1 = static_cast<float>(1 - std::pow(settings_.beta1, static_cast<double>(steps_)));
    const auto fix2 = static_cast<float>(1 - std::pow(settings_.beta2, static_cast<double>(steps_)));
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      first_[i] = b1 * first_[i] + (1 - b1) * gradient[i];
      second_[i] = b2 * second_[i] + (1 - b2) * gradient[i] * gradient[i];
      parameters[i] -= eta * (first_[i] / fix1 / (std::sqrt(second_[i] / fix2) + epsilon) + decay * parameters[i]);
    }
    return;
  }
  const auto momentum = static_cast<float>(settings_.momentum);
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const float pull = gradient[i] + decay * parameters[i];
    if (first_.empty()) {
      parameters[i] -= eta * pull;
      continue;
    }
    first_[i] = momentum * first_[i] + pull;
    parameters[i] -= eta * (settings_.nesterov ? pull + momentum * first_[i] : first_[i]);
  }
}

void Optimiser::save(StateWriter& to) const {
  to.number(steps_);
  to.floats(first_);
  to.floats(second_);
}

Status Optimiser::load(StateReader& from) {
  TIDELINE_TRY(steps_, from.number());
  TIDELINE_CHECK_OK(from.floats(first_));
  return from.floats(second_);
}

}  // namespace tideline::train
