#include "base/address.h"

#include <algorithm>
#include <charconv>

#include "base/limits.h"
#include "base/text.h"

namespace tideline {
namespace {

Error bad_address(std::string_view text, const char* what) {
  return {ErrorCode::kInvalidArgument,
          "[address] '" + printable(text) + "' " + what + "; write HOST:PORT, such as 127.0.0.1:7411 or [::1]:7411"};
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
bool is_host_character(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '-' || c == '_';
}

// What the system's resolver would read as a number rather than as a name.
bool looks_numeric(std::string_view host) {
  while (host.ends_with('.')) host.remove_suffix(1);
  const auto dot = host.rfind('.');
  std::string_view last = dot == std::string_view::npos ? host : host.substr(dot + 1);
  if (last.starts_with("0x") || last.starts_with("0X")) return true;
  return std::all_of(last.begin(), last.end(), is_digit);
}

bool is_ipv4(std::string_view host) {
  const std::vector<std::string> parts = split(host, '.');
  return parts.size() == 4 && std::all_of(parts.begin(), parts.end(), [](const std::string& part) {
           return !part.empty() && part.size() <= 3 && std::all_of(part.begin(), part.end(), is_digit) &&
                  (part.size() == 1 || part.front() != '0') && std::stoi(part) <= 255;
         });
}

bool is_ipv6(std::string_view host) {
  const auto percent = host.find('%');
  if (percent != std::string_view::npos) {
    const std::string_view scope = host.substr(percent + 1);
    if (scope.empty() || scope.size() > 15 || !std::all_of(scope.begin(), scope.end(), is_host_character)) return false;
    host = host.substr(0, percent);
  }
  return host.size() <= 45 && host.find(':') != std::string_view::npos &&
         std::all_of(host.begin(), host.end(), [](char c) { return is_hex(c) || c == ':' || c == '.'; });
}

}  // namespace

Result<Address> parse_address(std::string_view text) {
  Address address;
  std::string_view port;
  if (text.starts_with('[')) {
    const auto end = text.find(']');
    if (end == std::string_view::npos || end + 1 >= text.size() || text[end + 1] != ':') return bad_address(text, "has no port");
    address.host = text.substr(1, end - 1);
    port = text.substr(end + 2);
    if (!is_ipv6(address.host)) return bad_address(text, "has no IPv6 address in its brackets");
  } else {
    const auto colon = text.find(':');
    if (colon == std::string_view::npos) return bad_address(text, "has no port");
    address.host = text.substr(0, colon);
    port = text.substr(colon + 1);
    if (address.host.empty()) address.host = "127.0.0.1";
    if (address.host.size() > limits::kHostBytesMax ||
        !std::all_of(address.host.begin(), address.host.end(), is_host_character) ||
        (looks_numeric(address.host) && !is_ipv4(address.host)))
      return bad_address(text, "has a host that is no name and no address");
  }
  unsigned number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (error != std::errc() || end != port.data() + port.size() || port.size() > 5 || number > 65535)
    return bad_address(text, "has no port from 0 to 65535");
  address.port = static_cast<std::uint16_t>(number);
  return address;
}

std::string to_string(const Address& address) {
  const bool ipv6 = address.host.find(':') != std::string::npos;
  return (ipv6 ? "[" + address.host + "]" : address.host) + ":" + std::to_string(address.port);
}

bool is_loopback(const Address& address) {
  return address.host == "localhost" || address.host == "::1" || (address.host.starts_with("127.") && is_ipv4(address.host));
}

}  // namespace tideline
