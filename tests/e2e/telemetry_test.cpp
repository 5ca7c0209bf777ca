// Goal: no program of ours tells the engine's vendor anything: no question to a resolver, no file in the temporary folder or
// below HOME. Method: a network namespace whose resolver is this test, and a temporary HOME and TMPDIR. That the trap works is
// seen by a canary: the same engine, left as its vendor made it, which asks after some seconds. Needs root; skips loudly without.
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <onnxruntime_cxx_api.h>

#include "engine/engine.h"
#include "fixture.h"

namespace tideline::e2e {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr const char* kVariable = "ORT_DISABLE_TELEMETRY";

std::vector<std::string> files_beneath(const std::string& folder) {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    if (!entry.is_directory()) files.push_back(entry.path().string());
  return files;
}

// A process in a network of its own that has nothing but loopback, whose questions to the resolver come to questions().
class Trap {
 public:
  // `body` runs in a child, with HOME and TMPDIR set and everything else of this process as it is.
  explicit Trap(const std::function<void()>& body) {
    std::filesystem::create_directories(home());
    std::filesystem::create_directories(temporary());
    std::ofstream(folder_.path() + "/resolv.conf") << "nameserver 127.0.0.1\n";
    int sockets[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) != 0) return;
    process_ = ::fork();
    if (process_ == 0) {
      const int resolver = enter();
      send_descriptor(sockets[1], resolver);
      if (resolver < 0) ::_exit(1);
      ::close(resolver);
      ::setenv("HOME", home().c_str(), 1);
      ::setenv("TMPDIR", temporary().c_str(), 1);
      ::unsetenv("XDG_CACHE_HOME");
      body();
      ::_exit(0);
    }
    resolver_ = receive_descriptor(sockets[0]);
    ::close(sockets[0]);
    ::close(sockets[1]);
  }
  ~Trap() {
    if (process_ > 0) {
      ::kill(process_, SIGKILL);
      ::waitpid(process_, nullptr, 0);
    }
    if (resolver_ >= 0) ::close(resolver_);
  }
  Trap(const Trap&) = delete;
  Trap& operator=(const Trap&) = delete;

  bool works() const { return resolver_ >= 0; }
  // Waits that long for a question, which is answered by nothing.
  bool asks_within(milliseconds wait) const {
    pollfd poll{.fd = resolver_, .events = POLLIN, .revents = 0};
    return ::poll(&poll, 1, static_cast<int>(wait.count())) == 1;
  }
  bool is_running() const { return ::waitpid(process_, nullptr, WNOHANG) == 0; }
  std::vector<std::string> files() const {
    std::vector<std::string> files = files_beneath(home());
    for (std::string& file : files_beneath(temporary())) files.push_back(std::move(file));
    return files;
  }

 private:
  std::string home() const { return folder_.path() + "/home"; }
  std::string temporary() const { return folder_.path() + "/tmp"; }

  // The resolver's socket, or -1. Only system calls: other threads of the parent held locks when it was copied.
  int enter() const {
    if (::unshare(CLONE_NEWNET | CLONE_NEWNS) != 0) return -1;
    if (::mount(nullptr, "/", nullptr, MS_PRIVATE | MS_REC, nullptr) != 0) return -1;
    const std::string resolv = folder_.path() + "/resolv.conf";
    if (::mount(resolv.c_str(), "/etc/resolv.conf", nullptr, MS_BIND, nullptr) != 0) return -1;
    const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ifreq interface {};
    std::strcpy(interface.ifr_name, "lo");
    interface.ifr_flags = IFF_UP;
    if (::ioctl(socket, SIOCSIFFLAGS, &interface) != 0) return -1;
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(53);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return ::bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 ? socket : -1;
  }

  static void send_descriptor(int to, int descriptor) {
    char byte = descriptor >= 0 ? 1 : 0;
    iovec part{&byte, 1};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (descriptor >= 0) {
      message.msg_control = control;
      message.msg_controllen = sizeof control;
      cmsghdr* header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(sizeof(int));
      std::memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
    }
    (void)::sendmsg(to, &message, 0);
  }
  static int receive_descriptor(int from) {
    char byte = 0;
    iovec part{&byte, 1};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    if (::recvmsg(from, &message, 0) != 1 || byte == 0) return -1;
    int descriptor = -1;
    if (const cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr)
      std::memcpy(&descriptor, CMSG_DATA(header), sizeof descriptor);
    return descriptor;
  }

  Folder folder_;
  pid_t process_ = -1;
  int resolver_ = -1;
};

void run_program(const std::vector<std::string>& words) {
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const int nowhere = ::open("/dev/null", O_RDWR);
  ::dup2(nowhere, 1);
  ::dup2(nowhere, 2);
  ::execv(argv[0], argv.data());
}

// As a program that embeds the engine and never heard of the variable, or that sets it to something else.
void embed(const char* value) {
  if (value == nullptr)
    ::unsetenv(kVariable);
  else
    ::setenv(kVariable, value, 1);
  const auto engine = make_engine({});
  if (engine) ::pause();
}

TEST(Telemetry, NoQuestionAndNoFile) {
  if (::geteuid() != 0) GTEST_SKIP() << "NOT TESTED: a network namespace needs root";
  const Trap canary([] {
    ::unsetenv(kVariable);
    const Ort::Env env(ORT_LOGGING_LEVEL_FATAL, "canary");
    ::pause();
  });
  if (!canary.works()) GTEST_SKIP() << "NOT TESTED: this host gives no network namespace";
  const Folder folder;
  const std::string model = folder.path() + "/lenet5.onnx";
  const std::string zoo = fmt::format("{} zoo lenet5 -o {} >/dev/null", binary(), model);
  ASSERT_EQ(std::system(zoo.c_str()), 0);
  const Trap daemon([&] {
    ::unsetenv(kVariable);
    run_program({binary(), "node", "--listen", "127.0.0.1:7411", "--store", folder.path() + "/store"});
  });
  const Trap inspect([&] {
    ::setenv(kVariable, "0", 1);
    run_program({binary(), "inspect", model});
  });
  const Trap plain([] { embed(nullptr); });
  const Trap contrary([] { embed("0"); });

  // The engine asks some seconds after it was started; the others were started with the canary and get a little longer.
  const bool canary_asks = canary.asks_within(seconds(20));
  if (canary_asks) {
    EXPECT_FALSE(canary.files().empty());
  } else {
    std::puts("NOTE: this engine asks nobody by itself, so that the rest proves little");
  }
  EXPECT_FALSE(daemon.asks_within(seconds(2)));
  for (const Trap* trap : {&daemon, &inspect, &plain, &contrary}) {
    EXPECT_TRUE(trap->works());
    EXPECT_FALSE(trap->asks_within(milliseconds(0)));
    EXPECT_THAT(trap->files(), ::testing::IsEmpty());
  }
  EXPECT_TRUE(daemon.is_running());
  EXPECT_TRUE(plain.is_running());
  EXPECT_TRUE(contrary.is_running());
}

}  // namespace
}  // namespace tideline::e2e
