// The folder appears whole or not at all, and replaces another one only when asked.
#include "runtime/checkpoint/OutputFolder.h"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "tests/support/TempFolder.h"

using namespace gptqc;
using gptqc::fixtures::readText;
using gptqc::fixtures::TempFolder;
using gptqc::fixtures::writeText;
namespace fs = std::filesystem;

namespace {

size_t entries(const fs::path &folder) {
  return size_t(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

TEST(OutputFolder, AppearsWithCommit) {
  const TempFolder temp;
  for (const char *name : {"new", "nested/deep/new", "slash/"}) {
    auto folder = OutputFolder::create(temp / name, false);
    ASSERT_TRUE(folder.ok()) << folder.status().message();
    writeText(folder->path() / "file", "text");
    EXPECT_FALSE(fs::exists(temp / name));
    ASSERT_TRUE(folder->commit().ok());
    EXPECT_EQ(readText(fs::path(temp / name) / "file"), "text");
  }
}

TEST(OutputFolder, WhatIsReadIsNeverReplaced) {
  const TempFolder temp;
  fs::create_directories(temp / "out/model");
  writeText(temp / "out/tokens", "text");
  fs::create_directory_symlink(temp / "out/model", temp / "link");
  for (const char *input : {"out", "out/model", "out/tokens", "link", "out/../out/model"}) {
    const auto refused = OutputFolder::create(temp / "out", true, {temp / input});
    ASSERT_FALSE(refused.ok()) << input;
    EXPECT_EQ(refused.status().code(), Code::InvalidArgument);
    EXPECT_NE(refused.status().message().find("choose another output folder"), std::string::npos);
  }
  for (const char *output : {"out/model/new", "outer", "ou"})
    EXPECT_TRUE(OutputFolder::create(temp / output, true, {temp / "out/model", ""}).ok()) << output;
}

TEST(OutputFolder, LeavesNothingWithoutCommit) {
  const TempFolder temp;
  {
    auto folder = OutputFolder::create(temp / "new", false);
    ASSERT_TRUE(folder.ok());
    writeText(folder->path() / "file", "text");
  }
  EXPECT_EQ(entries(temp.path()), 0u);
}

TEST(OutputFolder, TakesAnEmptyFolderButNotAFullOne) {
  const TempFolder temp;
  fs::create_directory(temp / "out");
  {
    auto folder = OutputFolder::create(temp / "out", false);
    ASSERT_TRUE(folder.ok());
    writeText(folder->path() / "file", "first");
    writeText(folder->path() / "config.json", "{}");
    ASSERT_TRUE(folder->commit().ok());
  }
  const auto refused = OutputFolder::create(temp / "out", false);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().code(), Code::InvalidArgument);
  EXPECT_NE(refused.status().message().find("--force"), std::string::npos);
  auto forced = OutputFolder::create(temp / "out", true);
  ASSERT_TRUE(forced.ok());
  writeText(forced->path() / "other", "second");
  EXPECT_EQ(readText(temp / "out/file"), "first") << "the old one stays until commit";
  ASSERT_TRUE(forced->commit().ok());
  EXPECT_FALSE(fs::exists(temp / "out/file"));
  EXPECT_EQ(readText(temp / "out/other"), "second");
  EXPECT_EQ(entries(temp.path()), 1u);
}

TEST(OutputFolder, ReplacesNothingButAModel) {
  const TempFolder temp;
  const auto expectKept = [&](const char *says) {
    const auto refused = OutputFolder::create(temp / "home", true);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.status().code(), Code::InvalidArgument);
    EXPECT_NE(refused.status().message().find(says), std::string::npos)
        << refused.status().message();
  };
  fs::create_directory(temp / "home");
  writeText(temp / "home/notes.txt", "years of work");
  expectKept("holds no config.json");
  writeText(temp / "home/config.json", "{}");
  auto folder = OutputFolder::create(temp / "home", true);
  EXPECT_TRUE(folder.ok());
  fs::create_directory(temp / "home/.ssh"); // while the model was quantized
  expectKept("holds the folder .ssh");
  EXPECT_EQ(folder->commit().code(), Code::InvalidArgument);
  EXPECT_EQ(readText(temp / "home/notes.txt"), "years of work");
}

TEST(OutputFolder, RemovesWhatKilledProcessesLeft) {
  const TempFolder temp;
  for (const char *name : {"out.tmp-123", "out.tmp-456", "output.tmp-123"}) {
    fs::create_directory(temp / name);
    writeText(temp / name / "file", "x");
  }
  const int live = ::open((temp / "out.tmp-456").c_str(), O_RDONLY | O_DIRECTORY);
  ASSERT_EQ(::flock(live, LOCK_EX | LOCK_NB), 0);
  ASSERT_TRUE(OutputFolder::create(temp / "out", false).ok());
  ::close(live);
  EXPECT_FALSE(fs::exists(temp / "out.tmp-123"));
  EXPECT_TRUE(fs::exists(temp / "out.tmp-456")) << "another process works on it";
  EXPECT_TRUE(fs::exists(temp / "output.tmp-123")) << "of another target";
}

TEST(OutputFolder, RefusesFilesAndRoots) {
  const TempFolder temp;
  writeText(temp / "file", "x");
  EXPECT_EQ(OutputFolder::create(temp / "file", true).status().code(), Code::InvalidArgument);
  EXPECT_EQ(OutputFolder::create("/", true).status().code(), Code::InvalidArgument);
  EXPECT_EQ(OutputFolder::create(temp / "file/below", true).status().code(), Code::IoError);
}

} // namespace
