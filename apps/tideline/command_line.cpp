#include "command_line.h"

#include <cstdint>
#include <optional>
#include <sstream>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

namespace tideline::app::cli {
namespace {

template <class V>
Check made(V validator) {
  return Check(std::make_shared<const V>(std::move(validator)));
}

}  // namespace

Check Range(int min, int max) { return made(::CLI::Range(min, max)); }
Check Range(unsigned min, unsigned max) { return made(::CLI::Range(min, max)); }
Check Range(std::size_t min, std::size_t max) { return made(::CLI::Range(min, max)); }
Check Range(double min, double max) { return made(::CLI::Range(min, max)); }
void refuse(const std::string& option, const std::string& why) { throw ::CLI::ValidationError(option, why); }
Check IsMember(std::vector<std::string> values) { return made(::CLI::IsMember(std::move(values))); }

Option* Option::required(bool value) {
  option_->required(value);
  return this;
}
Option* Option::type_name(std::string name) {
  option_->type_name(std::move(name));
  return this;
}
Option* Option::description(std::string text) {
  option_->description(std::move(text));
  return this;
}
Option* Option::capture_default_str() {
  option_->capture_default_str();
  return this;
}
Option* Option::check(const Check& check) {
  option_->check(check.validator());
  return this;
}
Option* Option::delimiter(char separator) {
  option_->delimiter(separator);
  return this;
}
Option* Option::excludes(const std::string& other) {
  option_->excludes(other);
  return this;
}
Option* Option::expected(int count) {
  option_->expected(count);
  return this;
}
Option* Option::expected(int min, int max) {
  option_->expected(min, max);
  return this;
}
Option* Option::take_all() {
  option_->take_all();
  return this;
}
Option* Option::take_last() {
  option_->take_last();
  return this;
}
std::size_t Option::count() const { return option_->count(); }

App::App(const std::string& description, const std::string& name)
    : root_(std::make_unique<::CLI::App>(description, name)), app_(root_.get()) {
  app_->get_formatter()->column_width(40);
}
App::App(::CLI::App* app) : app_(app) {}
App::~App() = default;

App* App::add_subcommand(const std::string& name, const std::string& description) {
  return subcommands_.emplace_back(std::make_unique<App>(app_->add_subcommand(name, description))).get();
}

template <class T>
Option* App::add_option(const std::string& names, T& target, const std::string& help) {
  return &options_.emplace_back(app_->add_option(names, target, help));
}
template <class T>
Option* App::add_option_function(const std::string& names, const std::function<void(const T&)>& take, const std::string& help) {
  return &options_.emplace_back(app_->add_option_function<T>(names, take, help));
}
Option* App::add_flag(const std::string& names, bool& target, const std::string& help) {
  return &options_.emplace_back(app_->add_flag(names, target, help));
}
Option* App::get_option(const std::string& name) { return &options_.emplace_back(app_->get_option(name)); }

App* App::footer(const std::string& text) {
  app_->footer(text);
  return this;
}
App* App::callback(std::function<void()> run) {
  app_->callback(std::move(run));
  return this;
}
App* App::require_subcommand(int count) {
  app_->require_subcommand(count);
  return this;
}
App* App::fallthrough() {
  app_->fallthrough();
  return this;
}
void App::set_version_flag(const std::string& names, const std::string& version) { app_->set_version_flag(names, version); }
void App::set_help_all_flag(const std::string& names, const std::string& help) { app_->set_help_all_flag(names, help); }
std::string App::get_name() const { return app_->get_name(); }

std::vector<const App*> App::get_subcommands(const std::function<bool(const App*)>& wanted) const {
  std::vector<const App*> all;
  for (const auto& command : subcommands_)
    if (wanted(command.get())) all.push_back(command.get());
  return all;
}

void App::parse(int argc, char** argv) {
  try {
    app_->parse(argc, argv);
  } catch (const ::CLI::ParseError& error) {
    throw ParseError(error.what(), error.get_exit_code(), std::current_exception());
  }
}

int App::exit(const ParseError& error) const {
  try {
    std::rethrow_exception(error.cause());
  } catch (const ::CLI::ParseError& cause) {
    std::ostringstream out;
    std::ostringstream err;
    const int code = app_->exit(cause, out, err);
    fmt::print("{}", out.str());
    fmt::print(stderr, "{}", err.str());
    return code;
  }
}

// The types that options have. Another one is added here.
#define TIDELINE_OPTION_TYPE(type) template Option* App::add_option<type>(const std::string&, type&, const std::string&);
TIDELINE_OPTION_TYPE(std::string)
TIDELINE_OPTION_TYPE(int)
TIDELINE_OPTION_TYPE(std::uint32_t)
TIDELINE_OPTION_TYPE(std::int64_t)
TIDELINE_OPTION_TYPE(std::uint64_t)
TIDELINE_OPTION_TYPE(double)
TIDELINE_OPTION_TYPE(std::vector<std::string>)
TIDELINE_OPTION_TYPE(std::vector<double>)
TIDELINE_OPTION_TYPE(std::vector<std::uint32_t>)
TIDELINE_OPTION_TYPE(std::optional<std::string>)
TIDELINE_OPTION_TYPE(std::optional<std::uint32_t>)
TIDELINE_OPTION_TYPE(std::optional<std::uint64_t>)
TIDELINE_OPTION_TYPE(std::optional<double>)
template Option* App::add_option_function<std::string>(const std::string&, const std::function<void(const std::string&)>&,
                                                       const std::string&);
template Option* App::add_option_function<std::vector<std::string>>(const std::string&,
                                                                    const std::function<void(const std::vector<std::string>&)>&,
                                                                    const std::string&);

}  // namespace tideline::app::cli
