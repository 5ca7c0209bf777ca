// Shares: what each session has of this node, of its engine's time and of its links to other nodes, and who goes first by it.
//
// A share is a rate and a burst. What a session asks for is within its share as long as what it was given so far, at that rate,
// is at most the burst ahead of the clock (the generic cell rate algorithm). Within its share a request has its place among the
// others by its deadline; what is beyond it gets only what is left: it runs when nobody waits who is within theirs, gives way
// when somebody comes, and leaves over a link in pieces, each when that has nothing else to carry. So with shares that add up to
// no more than there is, no session can take another's, and nothing lies idle while somebody wants it. What is left over costs
// nobody's share: who was too fast is not punished later.
//
// Sessions without a share have together what the shares leave of the engine, and of links what nobody carries. On a node where
// nobody has a share everything is by deadline alone.
//
// Times are given, never asked for. Thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/result.h"
#include "base/units.h"
#include "wire/messages.h"

namespace tideline {

// One session's rate of something: nanoseconds of the engine per second, or bytes per second of a link.
class RateShare {
 public:
  RateShare(double per_second, Nanos burst) : per_second_(per_second), burst_(burst) {}

  void change(double per_second, Nanos burst);
  // Whether what comes now is within the share; then `amount` is taken from it.
  bool take(SteadyTime now, double amount);
  // What was taken turned out to be so much more, or (negative) less.
  void correct(SteadyTime now, double amount);
  // When something would be within it again.
  SteadyTime due() const;
  double per_second() const;

 private:
  mutable std::mutex mutex_;
  // Guarded by mutex_:
  double per_second_;
  Nanos burst_;
  SteadyTime paid_until_{};  // what was given so far, at the rate
};

// A link as its sender has loaded it: when everything that has left would be through.
class LinkLoad {
 public:
  void set_speed(double bytes_per_s);
  void add(SteadyTime now, double bytes);
  // The same, if there is nothing under way.
  bool add_if_free(SteadyTime now, double bytes);
  SteadyTime free_at() const;
  // What a message that lets others go first is cut into: some milliseconds of the link.
  std::size_t piece_bytes() const;

 private:
  mutable std::mutex mutex_;
  // Guarded by mutex_:
  double bytes_per_s_ = 1;
  SteadyTime free_at_{};
};

// When a message may leave: `now`, and it counts as having done so; otherwise when to ask again.
struct Leave {
  SteadyTime at;
  // Beyond its share it leaves in pieces, each when nothing else is under way: its first piece alone is counted yet.
  std::shared_ptr<LinkLoad> in_pieces = nullptr;
};

// What is beyond its share, or without one: when nothing is under way.
Leave leave_when_free(const std::shared_ptr<LinkLoad>& load, SteadyTime now, double bytes);

// A session's part of one link.
struct LinkShare {
  std::shared_ptr<RateShare> rate;
  std::shared_ptr<LinkLoad> load;
  Leave leave(SteadyTime now, double bytes) const;
};

// The shares of one node. What it gives is kept by the stages of a session, and free again with the last of them.
class ShareBook {
 public:
  // The engine's share of a session: one for all its stages here, as it said last. kOverloaded when all together would be more
  // than there is.
  Result<std::shared_ptr<RateShare>> engine(const wire::SessionId& session, const wire::Share& share);
  // The same of the link to the node of that name.
  Result<std::shared_ptr<LinkShare>> link(const wire::SessionId& session, const std::string& next, const wire::Share& share);
  // What sessions without a share have of the engine together; null: nobody has one.
  std::shared_ptr<RateShare> rest_of_engine();
  // The link to that node, when somebody has a share of it.
  std::shared_ptr<LinkLoad> load_of(const std::string& next);

 private:
  using Held = std::map<wire::SessionId, std::weak_ptr<RateShare>>;
  // What sessions but `except` hold. Forgets those that are gone.
  static double held(Held& all, const wire::SessionId* except);

  std::mutex mutex_;
  // Guarded by mutex_:
  Held engine_;
  std::shared_ptr<RateShare> rest_;
  struct LinkEntry {
    Held held;
    std::weak_ptr<LinkLoad> load;
  };
  std::map<std::string, LinkEntry> links_;
};

}  // namespace tideline
