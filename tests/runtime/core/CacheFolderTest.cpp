// Looking after a cache folder: what verify finds, what prune removes and in which order, and that
// a folder survives processes that are killed in the middle of everything.
#include "runtime/core/CacheFolder.h"

#include <csignal>
#include <fstream>
#include <random>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/core/CacheFormat.h"
#include "runtime/core/DiskCache.h"
#include "runtime/core/Hash.h"
#include "tests/support/TempFolder.h"

namespace gptqc {
namespace {

namespace fs = std::filesystem;
using fixtures::TempFolder;

KernelRequest request(int index) {
  return {fmt::format("w4 g128 sym f16->f16 n{} k4096 m1..1", 64 * index), "sm_90a", "", "build-1"};
}

KernelImage image(int index) {
  KernelImage image;
  image.descriptor = request(index).descriptor;
  image.launch.threads = 128;
  image.buildKey = sha256Hex(image.descriptor);
  image.cubin.assign(4000 + size_t(index), uint8_t(index));
  return image;
}

int64_t imageBytes() { return int64_t(image(0).serialize().size()); }

std::vector<int> kept(const DiskCache &cache, int count) {
  std::vector<int> found;
  for (int i = 0; i < count; ++i)
    if (cache.findBuild(image(i).buildKey))
      found.push_back(i);
  return found;
}

TEST(CacheFolderTest, ListsTheLastUsedFirst) {
  const TempFolder folder;
  EXPECT_TRUE(CacheFolder(folder / "absent").list()->empty());
  const DiskCache cache(folder.path());
  for (int i : {0, 1, 2})
    ASSERT_TRUE(cache.store(request(i), image(i)).ok());
  ASSERT_TRUE(cache.findRequest(request(0)));
  const auto entries = CacheFolder(folder.path()).list();
  ASSERT_EQ(entries->size(), 3u);
  EXPECT_EQ((*entries)[0].buildKey, image(0).buildKey);
  EXPECT_EQ((*entries)[2].buildKey, image(1).buildKey);
  EXPECT_EQ(CacheFolder(folder.path()).read((*entries)[2])->cubin, image(1).cubin);
}

TEST(CacheFolderTest, PruneRemovesTheLeastRecentlyUsed) {
  const TempFolder folder;
  const DiskCache cache(folder.path());
  for (int i = 0; i < 6; ++i)
    ASSERT_TRUE(cache.store(request(i), image(i)).ok());
  ASSERT_TRUE(cache.findBuild(image(1).buildKey));
  const auto pruned = CacheFolder(folder.path()).prune(3 * (imageBytes() + 16));
  ASSERT_TRUE(pruned.ok());
  EXPECT_EQ(pruned->builds, 3);
  EXPECT_EQ(pruned->requests, 3);
  EXPECT_EQ(pruned->keptBuilds, 3);
  EXPECT_EQ(kept(cache, 6), (std::vector<int>{1, 4, 5}));
  EXPECT_EQ(CacheFolder(folder.path()).verify(false)->dangling, 0);
  EXPECT_EQ(CacheFolder(folder.path()).prune(0)->keptBuilds, 0);
}

TEST(CacheFolderTest, PruneRemovesOldTemporariesOnly) {
  const TempFolder folder;
  const DiskCache cache(folder.path());
  ASSERT_TRUE(cache.store(request(1), image(1)).ok());
  const fs::path home = CacheFolder(folder.path()).list()->front().path.parent_path();
  fixtures::writeText(home / ".old.1-1.tmp", "x");
  fixtures::writeText(home / ".new.1-2.tmp", "x");
  fs::last_write_time(home / ".old.1-1.tmp",
                      fs::file_time_type::clock::now() - std::chrono::hours(2));
  EXPECT_EQ(CacheFolder(folder.path()).prune(INT64_MAX)->leftOvers, 1);
  EXPECT_FALSE(fs::exists(home / ".old.1-1.tmp"));
  EXPECT_TRUE(fs::exists(home / ".new.1-2.tmp"));
}

TEST(CacheFolderTest, VerifyFindsDamageAndRemovesIt) {
  const TempFolder folder;
  const DiskCache cache(folder.path());
  for (int i : {0, 1})
    ASSERT_TRUE(cache.store(request(i), image(i)).ok());
  const fs::path broken = cacheformat::pathOf(folder.path(), "build", image(0).buildKey);
  fs::resize_file(broken, fs::file_size(broken) - 1);
  fixtures::writeText(cacheformat::pathOf(folder.path(), "request", request(1).key()), "nonsense");
  const CacheFolder keeper(folder.path());
  auto check = keeper.verify(false);
  EXPECT_EQ(check->builds, 2);
  EXPECT_EQ(check->requests, 2);
  ASSERT_EQ(check->damaged.size(), 2u);
  EXPECT_NE(check->damaged[0].find(broken.string()), std::string::npos) << check->damaged[0];
  EXPECT_EQ(keeper.verify(true)->removed, 2);
  check = keeper.verify(false);
  EXPECT_TRUE(check->damaged.empty());
  EXPECT_EQ(check->dangling, 1); // the request of the removed build
}

TEST(CacheFolderTest, TheLimitHoldsWhileStoring) {
  const TempFolder folder;
  const int64_t limit = 8 * imageBytes();
  const DiskCache cache(CacheOptions{.folder = folder.path(), .layers = {}, .maxBytes = limit});
  for (int i = 0; i < 30; ++i) {
    ASSERT_TRUE(cache.store(request(i), image(i)).ok());
    int64_t bytes = 0;
    const auto entries = CacheFolder(folder.path()).list();
    for (const CacheEntry &entry : *entries)
      bytes += entry.bytes;
    ASSERT_LE(bytes, limit);
  }
  EXPECT_TRUE(cache.findRequest(request(29)));
  EXPECT_FALSE(cache.findRequest(request(0)));
}

TEST(CacheFolderTest, LayersAreReadOnlyAndFoldersMove) {
  const TempFolder folder;
  ASSERT_TRUE(DiskCache(folder / "made").store(request(1), image(1)).ok());
  fs::rename(folder / "made", folder / "system");
  const DiskCache user(CacheOptions{.folder = folder / "user", .layers = {folder / "system"}});
  ASSERT_TRUE(user.findRequest(request(1)));
  EXPECT_EQ(user.findRequest(request(1))->cubin, image(1).cubin);
  EXPECT_TRUE(user.findBuild(image(1).buildKey));
  ASSERT_TRUE(user.store(request(2), image(2)).ok());
  EXPECT_FALSE(DiskCache(folder / "system").findRequest(request(2)));
  EXPECT_TRUE(DiskCache(folder / "user").findRequest(request(2)));
}

// Four processes store and read; each is killed at a random moment and replaced. What is there at
// the end is whole: nothing is damaged, and a writer that was left alone is heard.
TEST(CacheFolderTest, SurvivesKilledProcesses) {
  const TempFolder folder;
  constexpr int kProcesses = 4, kKills = 50, kImages = 12;
  const auto start = [&](unsigned seed) {
    const pid_t pid = fork();
    if (pid != 0)
      return pid;
    std::atomic<int> warnings = 0;
    const DiskCache cache(
        CacheOptions{.folder = folder.path(), .layers = {}, .maxBytes = 10 * imageBytes()},
        *Log::create("", [&](std::string_view) { ++warnings; }));
    std::mt19937 random(seed);
    for (;;) {
      const int i = int(random() % kImages);
      const auto found = cache.findRequest(request(i));
      if (warnings > 0 || (found && found->cubin != image(i).cubin))
        _exit(1);
      if (!found)
        (void)cache.store(request(i), image(i));
    }
  };
  std::mt19937 random(7);
  std::vector<pid_t> children;
  for (int i = 0; i < kProcesses; ++i)
    children.push_back(start(unsigned(i)));
  for (int kill = 0; kill < kKills; ++kill) {
    usleep(useconds_t(random() % 8000));
    pid_t &victim = children[random() % kProcesses];
    ASSERT_EQ(::kill(victim, SIGKILL), 0);
    int result = 0;
    ASSERT_EQ(waitpid(victim, &result, 0), victim);
    EXPECT_TRUE(WIFSIGNALED(result)) << "a process read a damaged entry";
    victim = start(100 + unsigned(kill));
  }
  for (const pid_t pid : children) {
    ::kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
  }
  const auto check = CacheFolder(folder.path()).verify(false);
  ASSERT_TRUE(check.ok());
  EXPECT_TRUE(check->damaged.empty()) << check->damaged[0];
  EXPECT_GT(check->builds, 0);
  const DiskCache cache(folder.path());
  ASSERT_TRUE(cache.store(request(3), image(3)).ok());
  EXPECT_TRUE(cache.findRequest(request(3)));
}

} // namespace
} // namespace gptqc
