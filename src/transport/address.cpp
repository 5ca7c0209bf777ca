#include <algorithm>
#include <charconv>

#include "base/text.h"
#include "transport/transport.h"

namespace tideline {
namespace {

Error bad_address(std::string_view text, const char* what) {
  return {ErrorCode::kInvalidArgument,
          "[transport] address '" + printable(text) + "' " + what + "; write HOST:PORT, such as 127.0.0.1:7411 or [::1]:7411"};
}

bool is_host_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-';
}
bool is_ipv6_character(char c) {
  return (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || (c >= '0' && c <= '9') || c == ':' || c == '.';
}

}  // namespace

Result<Address> parse_address(std::string_view text) {
  Address address;
  std::string_view port;
  if (!text.empty() && text.front() == '[') {
    const auto end = text.find(']');
    if (end == std::string_view::npos || end + 1 >= text.size() || text[end + 1] != ':') return bad_address(text, "has no port");
    address.host = text.substr(1, end - 1);
    port = text.substr(end + 2);
    if (address.host.empty() || address.host.size() > 45 || address.host.find(':') == std::string::npos ||
        !std::all_of(address.host.begin(), address.host.end(), is_ipv6_character)) {
      return bad_address(text, "has no IPv6 address in its brackets");
    }
  } else {
    const auto colon = text.find(':');
    if (colon == std::string_view::npos) return bad_address(text, "has no port");
    address.host = text.substr(0, colon);
    port = text.substr(colon + 1);
    if (address.host.empty()) address.host = "127.0.0.1";
    if (address.host.size() > 253 || !std::all_of(address.host.begin(), address.host.end(), is_host_character)) {
      return bad_address(text, "has a host that is no name and no address");
    }
  }
  unsigned number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (error != std::errc() || end != port.data() + port.size() || port.size() > 5 || number > 65535) {
    return bad_address(text, "has no port from 0 to 65535");
  }
  address.port = static_cast<std::uint16_t>(number);
  return address;
}

std::string to_string(const Address& address) {
  const bool ipv6 = address.host.find(':') != std::string::npos;
  return (ipv6 ? "[" + address.host + "]" : address.host) + ":" + std::to_string(address.port);
}

bool is_loopback(const Address& address) {
  return address.host == "localhost" || address.host == "::1" || address.host.rfind("127.", 0) == 0;
}

}  // namespace tideline
