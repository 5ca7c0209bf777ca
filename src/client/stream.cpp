#include "client/stream.h"

#include <algorithm>

#include <fmt/format.h>

namespace tideline {

RunStream::RunStream(ClusterClient& client, const StreamOptions& options) : client_(client), options_(options) {
  options_.window = std::clamp<std::size_t>(options_.window, 1, StreamOptions::kWindowMax);
}

RunStream::~RunStream() = default;

Status RunStream::submit(const std::vector<TensorView>& inputs) {
  if (full())
    return Error{ErrorCode::kOverloaded,
                 fmt::format("[client] {} requests are under way; take an answer first", tickets_.size())};
  TIDELINE_TRY(auto ticket, client_.start(inputs, options_.request));
  tickets_.push_back(std::move(ticket));
  return {};
}

Result<RunAnswer> RunStream::next() {
  if (tickets_.empty()) return Error{ErrorCode::kNotFound, "[client] no request is under way"};
  const auto ticket = std::move(tickets_.front());
  tickets_.pop_front();
  return client_.finish(*ticket);
}

}  // namespace tideline
