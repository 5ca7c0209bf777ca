// The command line as the commands see it: the part of CLI11 that they use, under the same names, without its headers, which cost
// each file that includes them seconds to compile. Only command_line.cpp knows CLI11.
// Options write to variables that must live until parse() ends. Not thread-safe.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

// CLI11's own classes.
namespace CLI {
class App;
class Option;
class Validator;
}  // namespace CLI

namespace tideline::app::cli {

// What an option's value must be.
class Check {
 public:
  explicit Check(std::shared_ptr<const ::CLI::Validator> validator) : validator_(std::move(validator)) {}
  const ::CLI::Validator& validator() const { return *validator_; }

 private:
  std::shared_ptr<const ::CLI::Validator> validator_;
};
Check Range(int min, int max);
Check Range(unsigned min, unsigned max);
Check Range(std::size_t min, std::size_t max);
Check Range(double min, double max);
Check IsMember(std::vector<std::string> values);
// From a function that takes an option's value: parse() then refuses the command line.
[[noreturn]] void refuse(const std::string& option, const std::string& why);

class Option {
 public:
  explicit Option(::CLI::Option* option) : option_(option) {}
  Option* required(bool value = true);
  Option* type_name(std::string name);
  Option* description(std::string text);
  Option* capture_default_str();
  Option* check(const Check& check);
  Option* delimiter(char separator);
  Option* excludes(const std::string& other);
  Option* expected(int count);
  Option* expected(int min, int max);
  Option* take_all();
  Option* take_last();
  // How often it was given.
  std::size_t count() const;

 private:
  ::CLI::Option* option_;
};

// A command line that parse() refused, or that asked for help.
class ParseError : public std::runtime_error {
 public:
  ParseError(const std::string& message, int exit_code, std::exception_ptr cause)
      : std::runtime_error(message), exit_code_(exit_code), cause_(std::move(cause)) {}
  // 0: help or the version was asked for.
  int get_exit_code() const { return exit_code_; }
  const std::exception_ptr& cause() const { return cause_; }

 private:
  int exit_code_;
  std::exception_ptr cause_;
};

class App {
 public:
  App(const std::string& description, const std::string& name);
  explicit App(::CLI::App* app);
  ~App();
  App(const App&) = delete;
  App& operator=(const App&) = delete;

  App* add_subcommand(const std::string& name, const std::string& description);
  // T is one of those at the end of command_line.cpp.
  template <class T>
  Option* add_option(const std::string& names, T& target, const std::string& help);
  template <class T>
  Option* add_option_function(const std::string& names, const std::function<void(const T&)>& take, const std::string& help);
  Option* add_flag(const std::string& names, bool& target, const std::string& help);
  // REQUIRES: the option is there.
  Option* get_option(const std::string& name);
  App* footer(const std::string& text);
  App* callback(std::function<void()> run);
  App* require_subcommand(int count);
  App* fallthrough();
  void set_version_flag(const std::string& names, const std::string& version);
  void set_help_all_flag(const std::string& names, const std::string& help);
  std::string get_name() const;
  // CLI11's own tree, for who describes it.
  const ::CLI::App& tree() const { return *app_; }
  std::vector<const App*> get_subcommands(const std::function<bool(const App*)>& wanted) const;

  // Throws ParseError.
  void parse(int argc, char** argv);
  // Prints the error, or the help that was asked for; returns the exit code.
  int exit(const ParseError& error) const;

 private:
  std::unique_ptr<::CLI::App> root_;  // of the first one only
  ::CLI::App* app_;
  std::deque<std::unique_ptr<App>> subcommands_;
  std::deque<Option> options_;
};

}  // namespace tideline::app::cli

namespace tideline::app {
namespace CLI = cli;  // NOLINT: the commands read like CLI11's documentation
}  // namespace tideline::app
