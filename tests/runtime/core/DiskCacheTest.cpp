// DiskCache: hits are verified, damage is a miss with a warning, and a folder that cannot be
// written costs only the caching.
#include "runtime/core/DiskCache.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <string>
#include <vector>

#include <csignal>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/core/AtomicFile.h"
#include "runtime/core/Hash.h"

namespace gptqc {
namespace {

namespace fs = std::filesystem;

class DiskCacheTest : public testing::Test {
protected:
  void SetUp() override {
    folder = fs::temp_directory_path() /
             fmt::format("gptqc-cache-{}-{}", getpid(),
                         testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(folder);
  }
  void TearDown() override { fs::remove_all(folder); }

  DiskCache open(const fs::path &path) {
    return DiskCache(path, *Log::create("", [this](std::string_view line) {
                       const std::lock_guard lock(mutex);
                       warnings.emplace_back(line);
                     }));
  }
  static KernelRequest request(int index) {
    return {fmt::format("w4 g128 sym f16->f16 n{} k4096 m1", 64 * index), "sm_90a", "", "build-1"};
  }
  static KernelImage image(int index) {
    KernelImage image;
    image.descriptor = request(index).descriptor;
    image.launch.threads = 128;
    image.buildKey = sha256Hex(image.descriptor);
    image.cubin.assign(5000 + size_t(index), uint8_t(index));
    return image;
  }
  fs::path onlyFile(std::string_view kind) const {
    for (const auto &entry : fs::recursive_directory_iterator(folder / "v1" / kind))
      if (entry.is_regular_file())
        return entry.path();
    return {};
  }

  fs::path folder;
  std::mutex mutex;
  std::vector<std::string> warnings;
};

TEST_F(DiskCacheTest, StoreThenFind) {
  const DiskCache cache = open(folder / "not" / "yet" / "there");
  EXPECT_FALSE(cache.findRequest(request(1)));
  ASSERT_TRUE(cache.store(request(1), image(1)).ok());
  const auto found = cache.findRequest(request(1));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->cubin, image(1).cubin);
  EXPECT_TRUE(cache.findBuild(image(1).buildKey));
  EXPECT_FALSE(cache.findRequest(request(2)));
  EXPECT_FALSE(cache.findBuild("../../etc/passwd"));
  EXPECT_TRUE(warnings.empty()) << warnings[0];
}

TEST_F(DiskCacheTest, EveryFieldOfARequestCounts) {
  const KernelRequest base = request(1);
  KernelRequest other = base;
  other.target = "sm_80";
  EXPECT_NE(base.key(), other.key());
  other = base;
  other.schedule = "simt t64x8x64 warps4 stages1";
  EXPECT_NE(base.key(), other.key());
  other = base;
  other.compilerBuild = "build-2";
  EXPECT_NE(base.key(), other.key());
}

TEST_F(DiskCacheTest, DamageIsAMissAndAWarning) {
  const DiskCache cache = open(folder);
  for (const std::string_view kind : {"build", "request"}) {
    for (const bool truncate : {false, true}) {
      ASSERT_TRUE(cache.store(request(1), image(1)).ok());
      ASSERT_TRUE(cache.findRequest(request(1)));
      warnings.clear();
      const fs::path path = onlyFile(kind);
      if (truncate) {
        fs::resize_file(path, fs::file_size(path) / 2);
      } else {
        std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
        file.seekp(std::streamoff(fs::file_size(path) / 2));
        file.put('\x5a');
      }
      EXPECT_FALSE(cache.findRequest(request(1))) << path;
      ASSERT_EQ(warnings.size(), 1u) << path;
      EXPECT_NE(warnings[0].find(path.string()), std::string::npos) << warnings[0];
    }
  }
}

TEST_F(DiskCacheTest, AnImageUnderAnotherKeyIsAMiss) {
  const DiskCache cache = open(folder);
  ASSERT_TRUE(cache.store(request(1), image(1)).ok());
  const std::vector<uint8_t> bytes = image(2).serialize();
  ASSERT_TRUE(writeFileAtomically(onlyFile("build"), bytes.data(), bytes.size()).ok());
  EXPECT_FALSE(cache.findRequest(request(1)));
  EXPECT_EQ(warnings.size(), 1u);
}

TEST_F(DiskCacheTest, UnwritableFolderWarnsOnce) {
  ASSERT_TRUE(writeFileAtomically(folder / "file", "x").ok());
  const DiskCache cache = open(folder / "file"); // a file where the folder should be, even for root
  EXPECT_TRUE(cache.store(request(1), image(1)).ok());
  EXPECT_TRUE(cache.store(request(2), image(2)).ok());
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_NE(warnings[0].find("compiled but not kept"), std::string::npos) << warnings[0];
  warnings.clear();
  EXPECT_FALSE(cache.findRequest(request(1)));
}

TEST_F(DiskCacheTest, FullDiskLeavesNothingHalfWritten) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit = {1024, 1024};
    setrlimit(RLIMIT_FSIZE, &limit);
    const DiskCache cache = open(folder);
    const bool ok = cache.store(request(1), image(1)).ok() && warnings.size() == 1;
    _exit(ok ? 0 : 1);
  }
  int result = -1;
  ASSERT_EQ(waitpid(child, &result, 0), child);
  EXPECT_EQ(result, 0);
  for (const auto &entry : fs::recursive_directory_iterator(folder))
    EXPECT_FALSE(entry.is_regular_file()) << entry.path();
}

TEST_F(DiskCacheTest, ProcessesShareAFolder) {
  std::vector<pid_t> children;
  for (int child = 0; child < 4; ++child) {
    const pid_t pid = fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) {
      const DiskCache cache = open(folder);
      bool ok = true;
      for (int round = 0; round < 20; ++round) {
        ok = ok && cache.store(request(round % 5), image(round % 5)).ok();
        const auto found = cache.findRequest(request(round % 5));
        ok = ok && found && found->cubin == image(round % 5).cubin;
      }
      _exit(ok && warnings.empty() ? 0 : 1);
    }
    children.push_back(pid);
  }
  for (const pid_t pid : children) {
    int result = -1;
    ASSERT_EQ(waitpid(pid, &result, 0), pid);
    EXPECT_EQ(result, 0);
  }
}

TEST_F(DiskCacheTest, DefaultFolder) {
  setenv("GPTQC_CACHE_DIR", "/a", 1);
  setenv("XDG_CACHE_HOME", "/b", 1);
  setenv("HOME", "/c", 1);
  EXPECT_EQ(*DiskCache::defaultFolder(), "/a");
  unsetenv("GPTQC_CACHE_DIR");
  EXPECT_EQ(*DiskCache::defaultFolder(), "/b/gptqc");
  unsetenv("XDG_CACHE_HOME");
  EXPECT_EQ(*DiskCache::defaultFolder(), "/c/.cache/gptqc");
  unsetenv("HOME");
  EXPECT_EQ(DiskCache::defaultFolder().status().code(), Code::NotFound);
}

TEST_F(DiskCacheTest, OptionsFromTheEnvironment) {
  setenv("GPTQC_CACHE_LAYERS", "/a:/b/c::", 1);
  setenv("GPTQC_CACHE_SIZE", "2G", 1);
  const auto options = CacheOptions::fromEnvironment("/x");
  ASSERT_TRUE(options.ok());
  EXPECT_EQ(options->folder, "/x");
  EXPECT_EQ(options->layers, (std::vector<fs::path>{"/a", "/b/c"}));
  EXPECT_EQ(options->maxBytes, int64_t(2) << 30);
  for (const char *wrong : {"0", "-1", "2X", "G", "1.5G", "99999999999T"}) {
    setenv("GPTQC_CACHE_SIZE", wrong, 1);
    EXPECT_EQ(CacheOptions::fromEnvironment("/x").status().code(), Code::InvalidArgument) << wrong;
  }
  unsetenv("GPTQC_CACHE_LAYERS");
  unsetenv("GPTQC_CACHE_SIZE");
  EXPECT_TRUE(CacheOptions::fromEnvironment("/x")->layers.empty());
}

} // namespace
} // namespace gptqc
