// Names to socket addresses, under a deadline. Internal.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <netdb.h>
#include <sys/socket.h>

#include "base/cancel.h"
#include "base/result.h"
#include "transport/transport.h"

namespace tideline::tcp {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

// getaddrinfo, or what a test puts in its place.
using Lookup = std::function<int(const char* host, const char* port, const addrinfo* hints, addrinfo** found)>;

// All addresses of a name, in the order that the system prefers. Numbers never ask a name server and never wait. A name is asked
// for on a thread of its own, which is left behind when the deadline passes or `cancel` says so: it owns what it touches, and
// ends when the system's resolver gives up. kNotFound, kDeadlineExceeded, kCancelled; kOverloaded when
// limits::kResolverThreadsMax lookups are under way.
Result<std::vector<SocketAddress>> resolve(const Address& address, bool passive, SteadyTime deadline, const CancelToken* cancel,
                                           const Lookup& lookup = &::getaddrinfo);

}  // namespace tideline::tcp
