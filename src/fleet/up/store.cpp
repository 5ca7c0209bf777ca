#include "fleet/up/store.h"

#include <algorithm>

#include <fmt/format.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "base/limits.h"
#include "base/text.h"

namespace tideline::fleet {
namespace {

// "TdlF": so that no other program's file is taken for ours.
constexpr int kApplicationId = 0x54646c46;
constexpr int kStateVersion = 1;

constexpr const char* kSchema =
    "CREATE TABLE fleet (id INTEGER PRIMARY KEY CHECK (id = 1), file_sha256 TEXT NOT NULL, seconds REAL NOT NULL);"
    "CREATE TABLE used (name TEXT PRIMARY KEY, amount REAL NOT NULL);"
    "CREATE TABLE tasks (name TEXT PRIMARY KEY, place INTEGER NOT NULL, spec TEXT NOT NULL, blocks INTEGER, removed INTEGER NOT "
    "NULL,"
    " requests INTEGER NOT NULL, late INTEGER NOT NULL, dropped INTEGER NOT NULL, failed INTEGER NOT NULL, latencies TEXT NOT "
    "NULL);";

}  // namespace

struct FleetStore::Database {
  std::string path;
  sqlite3* handle = nullptr;
  ~Database() { sqlite3_close(handle); }

  Error error(int code) const {
    const int kind = code & 0xff;
    if (kind == SQLITE_BUSY || kind == SQLITE_LOCKED)
      return {ErrorCode::kOverloaded,
              fmt::format("[fleet] another coordinator has the state file {}: end it with `tideline fleet down`", path)};
    if (kind == SQLITE_NOTADB || kind == SQLITE_CORRUPT)
      return {ErrorCode::kInvalidArgument,
              fmt::format("[fleet] {} is no state of a fleet, or is damaged: name another file with --state", path)};
    return {ErrorCode::kNotFound,
            fmt::format("[fleet] cannot read or write the state file {}: {}", path, printable(sqlite3_errmsg(handle)))};
  }

  Status run(const char* sql) {
    const int code = sqlite3_exec(handle, sql, nullptr, nullptr, nullptr);
    if (code != SQLITE_OK) return error(code);
    return {};
  }

  // One statement; `row` is called for each row.
  class Statement {
   public:
    Statement(Database& database, const char* sql) : database_(database) {
      code_ = sqlite3_prepare_v2(database.handle, sql, -1, &statement_, nullptr);
    }
    ~Statement() { sqlite3_finalize(statement_); }
    Statement(const Statement&) = delete;
    Statement& operator=(const Statement&) = delete;

    void bind(const std::string& text) {
      note(sqlite3_bind_text(statement_, ++bound_, text.data(), static_cast<int>(text.size()), SQLITE_TRANSIENT));
    }
    void bind(std::int64_t number) { note(sqlite3_bind_int64(statement_, ++bound_, number)); }
    void bind(double number) { note(sqlite3_bind_double(statement_, ++bound_, number)); }
    void bind_null() { note(sqlite3_bind_null(statement_, ++bound_)); }
    // Whether there is a row.
    Result<bool> step() {
      if (code_ == SQLITE_OK) code_ = sqlite3_step(statement_);
      const int code = std::exchange(code_, SQLITE_OK);
      if (code == SQLITE_ROW) return true;
      if (code == SQLITE_DONE) return false;
      return database_.error(code);
    }
    std::string text(int column) const {
      const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
      return bytes == nullptr ? "" : std::string(bytes, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column)));
    }
    std::int64_t integer(int column) const { return sqlite3_column_int64(statement_, column); }
    double real(int column) const { return sqlite3_column_double(statement_, column); }
    bool is_null(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }

   private:
    void note(int code) {
      if (code_ == SQLITE_OK) code_ = code;
    }
    Database& database_;
    sqlite3_stmt* statement_ = nullptr;
    int code_ = SQLITE_OK;
    int bound_ = 0;
  };

  Result<std::int64_t> number(const char* sql) {
    Statement statement(*this, sql);
    TIDELINE_TRY(const bool found, statement.step());
    return found ? statement.integer(0) : 0;
  }
};

FleetStore::FleetStore(std::unique_ptr<Database> database) : database_(std::move(database)) {}
FleetStore::~FleetStore() = default;

Result<std::unique_ptr<FleetStore>> FleetStore::open(const std::string& path) {
  auto database = std::make_unique<Database>();
  database->path = path;
  const mode_t mask = ::umask(0077);
  const int opened = sqlite3_open_v2(path.c_str(), &database->handle,
                                     SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOFOLLOW, nullptr);
  ::umask(mask);
  if (opened != SQLITE_OK) return database->error(opened);
  // Exclusive: the lock is held as long as the file is open, so that there is one coordinator.
  TIDELINE_CHECK_OK(
      database->run("PRAGMA trusted_schema=OFF; PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; "
                    "BEGIN EXCLUSIVE; "
                    "COMMIT;"));
  TIDELINE_TRY(const std::int64_t version, database->number("PRAGMA user_version"));
  TIDELINE_TRY(const std::int64_t application, database->number("PRAGMA application_id"));
  TIDELINE_TRY(const std::int64_t tables, database->number("SELECT count(*) FROM sqlite_master"));
  if (version == 0 && application == 0 && tables == 0) {
    const std::string make = fmt::format("BEGIN; {} PRAGMA application_id={}; PRAGMA user_version={}; COMMIT;", kSchema,
                                         kApplicationId, kStateVersion);
    TIDELINE_CHECK_OK(database->run(make.c_str()));
  } else if (application != kApplicationId || version != kStateVersion) {
    return Error{ErrorCode::kInvalidArgument,
                 application == kApplicationId
                     ? fmt::format("[fleet] {} is of version {}, and this build reads {}: name another file with --state", path,
                                   version, kStateVersion)
                     : fmt::format("[fleet] {} is no state of a fleet: name another file with --state", path)};
  }
  return std::unique_ptr<FleetStore>(new FleetStore(std::move(database)));
}

Result<StoredFleet> FleetStore::load() {
  StoredFleet fleet;
  {
    Database::Statement statement(*database_, "SELECT file_sha256, seconds FROM fleet");
    TIDELINE_TRY(const bool found, statement.step());
    if (found) {
      fleet.file_sha256 = statement.text(0);
      fleet.seconds = statement.real(1);
    }
  }
  Database::Statement used(*database_, "SELECT name, amount FROM used");
  while (true) {
    TIDELINE_TRY(const bool found, used.step());
    if (!found) break;
    fleet.used[used.text(0)] = used.real(1);
  }
  Database::Statement rows(
      *database_, "SELECT name, spec, blocks, removed, requests, late, dropped, failed, latencies FROM tasks ORDER BY place");
  while (true) {
    TIDELINE_TRY(const bool found, rows.step());
    if (!found) break;
    if (fleet.tasks.size() >= limits::kFleetTasksMax)
      return Error{ErrorCode::kInvalidArgument, fmt::format("[fleet] {} has more tasks than a fleet may", database_->path)};
    StoredTask task{.name = rows.text(0), .spec = rows.text(1), .removed = rows.integer(3) != 0};
    if (!rows.is_null(2))
      task.blocks = static_cast<std::uint32_t>(std::clamp<std::int64_t>(rows.integer(2), 0, limits::kInstanceLayersMax));
    task.counters.requests = static_cast<std::uint64_t>(rows.integer(4));
    task.counters.late = static_cast<std::uint64_t>(rows.integer(5));
    task.counters.dropped = static_cast<std::uint64_t>(rows.integer(6));
    task.counters.failed = static_cast<std::uint64_t>(rows.integer(7));
    TIDELINE_TRY(task.counters.latencies, Latencies::parse(rows.text(8)));
    fleet.tasks.push_back(std::move(task));
  }
  written_ = fleet;
  return fleet;
}

Status FleetStore::save(const StoredFleet& fleet) {
  if (fleet == written_) return {};
  TIDELINE_CHECK_OK(database_->run("BEGIN"));
  const auto write = [&]() -> Status {
    {
      Database::Statement statement(*database_, "INSERT OR REPLACE INTO fleet VALUES (1, ?, ?)");
      statement.bind(fleet.file_sha256);
      statement.bind(fleet.seconds);
      TIDELINE_TRY([[maybe_unused]] const bool row, statement.step());
    }
    for (const auto& [name, amount] : fleet.used) {
      Database::Statement statement(*database_, "INSERT OR REPLACE INTO used VALUES (?, ?)");
      statement.bind(name);
      statement.bind(amount);
      TIDELINE_TRY([[maybe_unused]] const bool row, statement.step());
    }
    std::map<std::string_view, const StoredTask*> before;
    for (const StoredTask& task : written_.tasks) before[task.name] = &task;
    std::int64_t place = 0;
    for (const StoredTask& task : fleet.tasks) {
      const auto known = before.find(task.name);
      const bool is_same = known != before.end() && *known->second == task &&
                           static_cast<std::size_t>(known->second - written_.tasks.data()) == static_cast<std::size_t>(place);
      if (known != before.end()) before.erase(known);
      ++place;
      if (is_same) continue;
      Database::Statement statement(*database_, "INSERT OR REPLACE INTO tasks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
      statement.bind(task.name);
      statement.bind(place - 1);
      statement.bind(task.spec);
      if (task.blocks)
        statement.bind(std::int64_t{*task.blocks});
      else
        statement.bind_null();
      statement.bind(std::int64_t{task.removed});
      for (const std::uint64_t count : {task.counters.requests, task.counters.late, task.counters.dropped, task.counters.failed})
        statement.bind(static_cast<std::int64_t>(count));
      statement.bind(task.counters.latencies.text());
      TIDELINE_TRY([[maybe_unused]] const bool row, statement.step());
    }
    for (const auto& [name, task] : before) {
      Database::Statement statement(*database_, "DELETE FROM tasks WHERE name = ?");
      statement.bind(std::string(name));
      TIDELINE_TRY([[maybe_unused]] const bool row, statement.step());
    }
    return database_->run("COMMIT");
  };
  if (Status written = write(); !written) {
    (void)database_->run("ROLLBACK");
    return written;
  }
  written_ = fleet;
  return {};
}

}  // namespace tideline::fleet
