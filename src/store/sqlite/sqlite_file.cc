// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/sqlite_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "store/sqlite/migrations.h"

namespace jobmill::sqlite {
namespace {

// The lock keeps other processes out; in this one, people's searches have connections of their own
// (job_explorer.h), so the locking mode is not EXCLUSIVE. The larger log makes for fewer
// checkpoints, each of which syncs twice. The cache is small because a commit may walk through all
// of it; behind it is the kernel's. Of a page of 4 KiB, messages of 1 KiB leave a quarter unused,
// and each page is a write of its own.
constexpr char kPragmas[] = R"sql(
  PRAGMA page_size = 8192;
  PRAGMA locking_mode = NORMAL;
  PRAGMA busy_timeout = 1000;
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  PRAGMA wal_autocheckpoint = 4000;
  PRAGMA journal_size_limit = 67108864;
  PRAGMA cache_size = -16384;
  PRAGMA secure_delete = OFF;
  PRAGMA temp_store = MEMORY;
)sql";

}  // namespace

// A lock that the kernel takes back however the process ends. The file holds the pid of the holder
// for whoever comes second, and stays: removing it would let two processes lock two files.
class SqliteFile::Lock {
 public:
  static Result<std::unique_ptr<Lock>> take(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return fail(Code::Unavailable, "cannot open " + path + ": " + std::strerror(errno));
    auto lock = std::make_unique<Lock>(fd);
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
      return fail(Code::Conflict, path + ": in use by process " + lock->holder());
    }
    lock->write_holder();
    return lock;
  }

  explicit Lock(int fd) : fd_(fd) {}
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;
  ~Lock() { ::close(fd_); }

 private:
  std::string holder() const {
    char pid[32] = {};
    const auto size = ::pread(fd_, pid, sizeof pid - 1, 0);
    const std::string text(pid, size > 0 ? static_cast<std::size_t>(size) : 0);
    return text.empty() ? "unknown" : text;
  }

  // Only for the message of a second process, so that a full disk need not stop the first.
  void write_holder() const {
    const std::string pid = std::to_string(::getpid());
    if (::ftruncate(fd_, 0) == 0) (void)!::pwrite(fd_, pid.data(), pid.size(), 0);
  }

  int fd_;
};

SqliteFile::SqliteFile(std::string path, std::unique_ptr<Lock> lock, Database db, Syncs syncs)
    : path_(std::move(path)),
      lock_(std::move(lock)),
      db_(std::move(db)),
      syncs_(syncs),
      queue_(std::make_unique<CommitQueue>(transaction())) {}

SqliteFile::~SqliteFile() = default;

void SqliteFile::on_rollback(const void* owner, std::function<void()> listener) {
  (void)queue_->run([&]() -> Status {  // cannot fail
    rolled_back_[owner] = std::move(listener);
    return {};
  });
}

void SqliteFile::forget(const void* owner) {
  (void)queue_->run([&]() -> Status {  // cannot fail
    rolled_back_.erase(owner);
    return {};
  });
}

// Takes effect as it is prepared, so it cannot be a statement that is kept.
Status SqliteFile::set_durability(CommitQueue::Durability durability) {
  const bool synced = durability == CommitQueue::Durability::Synced;
  synced_ += synced ? 1 : 0;
  if (durability == durability_ || syncs_ == Syncs::Never) return {};
  TRY_VOID(db_.exec(synced ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL"));
  durability_ = durability;
  return {};
}

CommitQueue::Transaction SqliteFile::transaction() {
  return {.begin = [this](CommitQueue::Durability durability) -> Status {
            ++begun_;
            TRY_VOID(set_durability(durability));
            return db_.use("BEGIN IMMEDIATE").run();
          },
          .commit = [this] { return db_.use("COMMIT").run(); },
          .rollback =
              [this] {
                // Some errors, a full disk among them, have ended the transaction already.
                if (db_.in_transaction()) (void)db_.exec("ROLLBACK");
                for (const auto& [owner, listener] : rolled_back_) listener();
              },
          .save = [this] { return db_.use("SAVEPOINT item").run(); },
          .release = [this] { return db_.use("RELEASE item").run(); },
          .undo = [this]() -> Status {
            TRY_VOID(db_.use("ROLLBACK TO item").run());
            return db_.use("RELEASE item").run();
          },
          .written = [this] { return static_cast<std::uint64_t>(db_.total_changes()); }};
}

Result<std::unique_ptr<SqliteFile>> SqliteFile::open(const std::string& path, Syncs syncs) {
  std::unique_ptr<Lock> lock;
  if (path != ":memory:") {
    TRY(lock, Lock::take(path + ".lock"));
  }
  TRY(auto db, Database::open(path));
  TRY_VOID(db.exec(kPragmas));
  if (syncs == Syncs::Never) TRY_VOID(db.exec("PRAGMA synchronous = OFF"));
  TRY_VOID(migrate(db));
  return std::unique_ptr<SqliteFile>(new SqliteFile(path, std::move(lock), std::move(db), syncs));
}

Result<int> SqliteFile::schema_of(const std::string& path) {
  if (::access(path.c_str(), F_OK) != 0) {
    return fail(Code::NotFound, "there is no " + path + "; a server makes it when it starts");
  }
  TRY([[maybe_unused]] const auto lock, Lock::take(path + ".lock"));
  TRY(auto db, Database::open(path));
  return schema_version(db);
}

template <>
Result<void> SqliteFile::run<void>(const std::function<Status(Database&)>& work,
                                   CommitQueue::Mode mode) {
  return queue_->run([&] { return work(db_); }, {}, mode);
}

}  // namespace jobmill::sqlite
