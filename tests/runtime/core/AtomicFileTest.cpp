// AtomicFile: the target is the old file or the new one, whatever goes wrong in between.
#include "runtime/core/AtomicFile.h"

#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include <csignal>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace gptqc {
namespace {

namespace fs = std::filesystem;

class AtomicFileTest : public testing::Test {
protected:
  void SetUp() override {
    folder = fs::temp_directory_path() /
             fmt::format("gptqc-atomic-{}-{}", getpid(),
                         testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(folder);
  }
  void TearDown() override {
    fs::permissions(folder, fs::perms::owner_all);
    fs::remove_all(folder);
  }
  static std::string contents(const fs::path &path) {
    std::ostringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    return text.str();
  }
  int fileCount() const {
    return int(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
  }
  fs::path folder;
};

TEST_F(AtomicFileTest, CommitReplaces) {
  const fs::path path = folder / "a";
  ASSERT_TRUE(writeFileAtomically(path, "old").ok());
  auto file = AtomicFile::create(path);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(file->write("new ").ok());
  ASSERT_TRUE(file->write("text").ok());
  EXPECT_EQ(contents(path), "old");
  EXPECT_EQ(file->bytesWritten(), 8u);
  ASSERT_TRUE(file->commit().ok());
  EXPECT_EQ(contents(path), "new text");
  EXPECT_EQ(fileCount(), 1);
}

TEST_F(AtomicFileTest, LinksStayLinks) {
  ASSERT_TRUE(writeFileAtomically(folder / "a", "old").ok());
  fs::create_symlink("a", folder / "to-a");
  fs::create_symlink(folder / "to-a", folder / "to-to-a");
  fs::create_symlink("new", folder / "to-new");
  fs::create_symlink("circle", folder / "circle");
  ASSERT_TRUE(writeFileAtomically(folder / "to-to-a", "text").ok());
  EXPECT_EQ(contents(folder / "a"), "text");
  EXPECT_TRUE(fs::is_symlink(folder / "to-a") && fs::is_symlink(folder / "to-to-a"));
  ASSERT_TRUE(writeFileAtomically(folder / "to-new", "new").ok());
  EXPECT_EQ(contents(folder / "new"), "new");
  EXPECT_TRUE(fs::is_symlink(folder / "to-new"));
  EXPECT_EQ(writeFileAtomically(folder / "circle", "x").code(), Code::IoError);
}

TEST_F(AtomicFileTest, PipesAndFoldersAreNotReplaced) {
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  fs::create_directory(folder / "folder");
  for (const char *name : {"pipe", "folder"}) {
    const Status status = writeFileAtomically(folder / name, "text");
    EXPECT_EQ(status.code(), Code::InvalidArgument);
    EXPECT_NE(status.message().find("no regular file"), std::string::npos) << status.message();
  }
  EXPECT_TRUE(fs::is_fifo(folder / "pipe") && fs::is_directory(folder / "folder"));
  EXPECT_EQ(fileCount(), 2);
}

TEST_F(AtomicFileTest, WithoutCommitNothingChanges) {
  const fs::path path = folder / "a";
  ASSERT_TRUE(writeFileAtomically(path, "old").ok());
  {
    auto file = AtomicFile::create(path);
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE(file->write("half").ok());
    EXPECT_EQ(fileCount(), 2);
    AtomicFile moved = std::move(*file);
  }
  EXPECT_EQ(contents(path), "old");
  EXPECT_EQ(fileCount(), 1);
}

TEST_F(AtomicFileTest, MissingFolderNamesTheFile) {
  const Status status = writeFileAtomically(folder / "none" / "a", "x");
  EXPECT_EQ(status.code(), Code::IoError);
  EXPECT_NE(status.message().find((folder / "none" / "a").string()), std::string::npos)
      << status.message();
}

TEST_F(AtomicFileTest, ReadOnlyFolder) {
  if (geteuid() == 0) { // root writes anywhere: /proc refuses even root
    EXPECT_EQ(writeFileAtomically("/proc/gptqc-test", "x").code(), Code::IoError);
    return;
  }
  fs::permissions(folder, fs::perms::owner_read | fs::perms::owner_exec);
  const Status status = writeFileAtomically(folder / "a", "x");
  EXPECT_EQ(status.code(), Code::IoError);
  EXPECT_NE(status.message().find("choose a folder that can be written"), std::string::npos);
}

// A file size limit makes write fail part-way, like a disk that fills up.
TEST_F(AtomicFileTest, FailedWriteLeavesTheOldFile) {
  const fs::path path = folder / "a";
  ASSERT_TRUE(writeFileAtomically(path, "old").ok());
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit = {4096, 4096};
    setrlimit(RLIMIT_FSIZE, &limit);
    const Status status = writeFileAtomically(path, std::string(100000, 'x'));
    _exit(status.code() == Code::IoError ? 0 : 1);
  }
  int result = -1;
  ASSERT_EQ(waitpid(child, &result, 0), child);
  EXPECT_EQ(result, 0);
  EXPECT_EQ(contents(path), "old");
  EXPECT_EQ(fileCount(), 1);
}

TEST_F(AtomicFileTest, KilledWriterLeavesTheOldFile) {
  const fs::path path = folder / "a";
  ASSERT_TRUE(writeFileAtomically(path, "old").ok());
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto file = AtomicFile::create(path);
    if (file.ok() && file->write(std::string(100000, 'x')).ok())
      raise(SIGKILL);
    _exit(1);
  }
  int result = -1;
  ASSERT_EQ(waitpid(child, &result, 0), child);
  ASSERT_TRUE(WIFSIGNALED(result));
  EXPECT_EQ(contents(path), "old");
  ASSERT_TRUE(writeFileAtomically(path, "new").ok());
  EXPECT_EQ(contents(path), "new");
}

TEST_F(AtomicFileTest, ThreadsWriteWholeFiles) {
  const fs::path path = folder / "a";
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&, i] {
      for (int round = 0; round < 5; ++round)
        EXPECT_TRUE(writeFileAtomically(path, std::string(50000, char('a' + i))).ok());
    });
  for (std::thread &thread : threads)
    thread.join();
  const std::string text = contents(path);
  EXPECT_EQ(text, std::string(50000, text.empty() ? '?' : text[0]));
  EXPECT_EQ(fileCount(), 1);
}

TEST_F(AtomicFileTest, ReadFile) {
  const fs::path path = folder / "a";
  EXPECT_EQ(readFile(path).status().code(), Code::NotFound);
  ASSERT_TRUE(writeFileAtomically(path, "hello").ok());
  auto bytes = readFile(path);
  ASSERT_TRUE(bytes.ok());
  EXPECT_EQ(std::string(bytes->begin(), bytes->end()), "hello");
  EXPECT_EQ(readFile(path, 4).status().code(), Code::DataCorrupt);
  EXPECT_EQ(readFile(folder).status().code(), Code::IoError);
}

} // namespace
} // namespace gptqc
