// tideline node: the daemon of one host.
#include <cstdio>
#include <filesystem>

#include <fmt/format.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/name.h"
#include "base/text.h"
#include "base/units.h"
#include "commands.h"
#include "engine/engine.h"
#include "node/node.h"
#include "train_options.h"
#include "transport/transport.h"

namespace tideline::app {
namespace {

struct NodeArguments {
  std::string name = "node";
  std::string listen = "127.0.0.1:7411";
  std::string store = "tideline-segments";
  std::string store_bytes = "20GB";
  std::string memory;
  std::string request_bytes = "1GB";
  std::string next_rtt = "0";
  std::string next_bandwidth;
  std::string next_bandwidth_back;
  std::vector<std::string> links;
  std::string train;
  std::string log_level = "info";
  std::string drain = "5s";
  std::vector<std::string> allow_next;
  int threads = 1;
  double slowdown = 1;
};

// Connections over the node's own limit are accepted for as long as it takes to say that there is no room.
constexpr std::size_t kPlacesForRefusals = limits::kNodeRefusalsMax;

Result<LinkShape> link_shape(const NodeArguments& options) {
  LinkShape shape;
  TIDELINE_TRY(const Millis rtt, parse_duration(options.next_rtt));
  shape.round_trip = std::chrono::duration_cast<Nanos>(rtt);
  if (!options.next_bandwidth.empty()) {
    TIDELINE_TRY(shape.up_bytes_per_s, parse_bandwidth_bytes_per_s(options.next_bandwidth));
    shape.down_bytes_per_s = shape.up_bytes_per_s;
  }
  if (!options.next_bandwidth_back.empty()) {
    TIDELINE_TRY(shape.down_bytes_per_s, parse_bandwidth_bytes_per_s(options.next_bandwidth_back));
  }
  return shape;
}

// "server=rtt:4ms,bandwidth:20Mbit/s,back:5Mbit/s"
Result<std::pair<std::string, LinkShape>> named_link_shape(const std::string& text) {
  const auto wrong = [&](const std::string& why) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("--link '{}': {}; write NAME=rtt:4ms,bandwidth:20Mbit/s,back:5Mbit/s", printable(text), why)};
  };
  const auto equals = text.find('=');
  const std::string name = text.substr(0, equals);
  if (equals == std::string::npos || !is_name(name)) return wrong("there is no node's name before a '='");
  NodeArguments of_link;
  for (const std::string& part : split(std::string_view(text).substr(equals + 1), ',')) {
    const auto colon = part.find(':');
    const std::string key = part.substr(0, colon);
    const std::string value = colon == std::string::npos ? "" : part.substr(colon + 1);
    if (value.empty()) return wrong(fmt::format("'{}' has no value", printable(part)));
    if (key == "rtt")
      of_link.next_rtt = value;
    else if (key == "bandwidth")
      of_link.next_bandwidth = value;
    else if (key == "back")
      of_link.next_bandwidth_back = value;
    else
      return wrong(fmt::format("'{}' is not rtt, bandwidth or back", printable(key)));
  }
  const auto shape = link_shape(of_link);
  if (!shape) return wrong(shape.error().message);
  return std::pair{name, *shape};
}

LogLevel log_level_of(const std::string& name) {
  if (name == "debug") return LogLevel::kDebug;
  if (name == "warning") return LogLevel::kWarning;
  if (name == "error") return LogLevel::kError;
  return LogLevel::kInfo;
}

Status run_node(const NodeArguments& options, Context& context) {
  set_log_level(context.quiet ? LogLevel::kError : log_level_of(options.log_level));
  if (!is_name(options.name))
    return Error{ErrorCode::kInvalidArgument, fmt::format("--name '{}': a name is {}", printable(options.name), kNameRule)};
  NodeOptions node_options;
  node_options.name = options.name;
  node_options.store_folder = options.store;
  node_options.slowdown = options.slowdown;
  node_options.allow_next = options.allow_next;
  if (!options.train.empty()) {
    if (std::error_code status; !std::filesystem::is_directory(options.train, status))
      return Error{ErrorCode::kNotFound, fmt::format("--train '{}': there is no such folder", printable(options.train))};
    node_options.train_folder = std::filesystem::absolute(options.train).string();
    TIDELINE_TRY(node_options.train_program, training_program());
  }
  TIDELINE_TRY(node_options.listen, parse_address(options.listen));
  TIDELINE_TRY(node_options.store_bytes, parse_bytes(options.store_bytes));
  TIDELINE_TRY(node_options.request_bytes, parse_bytes(options.request_bytes));
  if (!options.memory.empty()) {
    TIDELINE_TRY(node_options.memory_bytes, parse_memory(options.memory));
  }
  TIDELINE_TRY(const Millis drain, parse_duration(options.drain));
  TIDELINE_TRY(const LinkShape shape, link_shape(options));

  EngineOptions engine_options;
  engine_options.threads = options.threads;
  TIDELINE_TRY(const auto engine, make_engine(engine_options));
  const auto tcp = make_tcp_transport({.connections_max = limits::kNodeConnectionsMax + kPlacesForRefusals});
  const bool shaped = shape.up_bytes_per_s > 0 || shape.down_bytes_per_s > 0 || shape.round_trip > Nanos(0);
  const auto onward = shaped ? make_shaped_transport(*tcp, shape) : nullptr;
  std::vector<std::unique_ptr<Transport>> links;
  for (const std::string& text : options.links) {
    TIDELINE_TRY(const auto named, named_link_shape(text));
    links.push_back(make_shaped_transport(*tcp, named.second));
    if (!node_options.links.emplace(named.first, links.back().get()).second)
      return Error{ErrorCode::kInvalidArgument, fmt::format("--link: node '{}' is named twice", named.first)};
  }
  TIDELINE_TRY(const auto node, NodeServer::start(node_options, *tcp, onward ? *onward : *tcp, *engine));

  // The one line of data: who started this waits for it.
  fmt::print("listening on {}\n", to_string(node->address()));
  std::fflush(stdout);
  if (!is_loopback(node_options.listen))
    log(LogLevel::kWarning, "listening beyond loopback without authentication: only on a network that you trust");
  log(LogLevel::kInfo, fmt::format("node '{}' is ready: {}, {} thread(s), slowdown {}", options.name, engine->version(),
                                   options.threads, options.slowdown));

  while (!context.interrupted.wait_for(std::chrono::hours(1))) {
  }
  log(LogLevel::kInfo, "draining");
  node->drain(std::chrono::duration_cast<std::chrono::milliseconds>(drain));
  return {};
}

}  // namespace

void add_node_command(CLI::App& app, Context& context) {
  auto* command = app.add_subcommand("node", "Run the daemon of one host");
  const auto options = std::make_shared<NodeArguments>();
  command->add_option("--name", options->name, "This node's name in the cluster file")->capture_default_str();
  command->add_option("--listen", options->listen, "Address to listen on; beyond loopback only on a network that you trust")
      ->capture_default_str();
  command->add_option("--threads", options->threads, "Threads of one engine run")
      ->check(CLI::Range(1, limits::kEngineThreadsMax))
      ->capture_default_str();
  command->add_option("--store", options->store, "Folder for segments; kept between runs")->capture_default_str();
  command->add_option("--store-bytes", options->store_bytes, "Most that the folder may hold")->capture_default_str();
  command->add_option("--memory", options->memory, "Most that loaded segments may take (default: no limit)");
  command->add_option("--request-bytes", options->request_bytes, "Most that one request's or result's tensors may take")
      ->capture_default_str();
  command->add_option("--slowdown", options->slowdown, "Emulate a slower host: stretch measured compute time by this factor")
      ->check(CLI::Range(1.0, limits::kNodeSlowdownMax))
      ->capture_default_str();
  command->add_option(
      "--allow-next", options->allow_next,
      "Only this HOST or HOST:PORT may be a next node; may be given several times (default: any that a plan names)");
  command->add_option("--next-rtt", options->next_rtt, "Emulate this round-trip time to the next node")->capture_default_str();
  command->add_option("--next-bandwidth", options->next_bandwidth, "Emulate this bandwidth to the next node (default: as it is)");
  command->add_option("--next-bandwidth-back", options->next_bandwidth_back, "... and this one back (default: the same)");
  command
      ->add_option("--link", options->links,
                   "Emulate one link: NAME=rtt:4ms,bandwidth:20Mbit/s,back:5Mbit/s for the next node NAME (repeatable)")
      ->type_name("NAME=...")
      ->take_all();
  command
      ->add_option(
          "--train", options->train,
          "Folder of data for training: a coordinator (tideline train --cluster) may have workers started here, which read "
          "in it and nowhere else")
      ->type_name("DIR");
  command->add_option("--drain", options->drain, "On SIGTERM, time for running requests to finish")->capture_default_str();
  command->add_option("--log-level", options->log_level, "debug, info, warning or error")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}));
  command->footer(
      "Examples:\n"
      "  tideline node --name gateway --listen 127.0.0.1:7412\n"
      "  tideline node --name camera --listen 192.0.2.10:7411 --threads 4 --memory 512MB --store /var/lib/tideline\n"
      "  tideline node --name gateway --listen 192.0.2.20:7411 --train /srv/pictures\n"
      "SIGTERM, SIGHUP or Ctrl-C drains: running requests finish, new ones are refused.");
  on_run(*command, context, [options, &context] { return run_node(*options, context); });
}

}  // namespace tideline::app
