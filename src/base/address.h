// Addresses as people write them: one grammar everywhere (options, cluster files, the wire).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tideline {

struct Address {
  std::string host;  // a name, or an IPv4 or IPv6 address (without brackets)
  std::uint16_t port = 0;
  bool operator==(const Address&) const = default;
};
// "host:port", "[::1]:port", "[fe80::1%eth0]:port", ":port" (the host is then 127.0.0.1). Port 0..65535 in plain digits. A host
// is a name of letters, digits, '-', '_' and '.', at most 253 bytes, or four numbers as in 192.0.2.1; other ways to write an IPv4
// address (127.1, 0x7f000001) are refused, because they do not look like what they are. kInvalidArgument otherwise.
Result<Address> parse_address(std::string_view text);
std::string to_string(const Address& address);
bool is_loopback(const Address& address);

}  // namespace tideline
