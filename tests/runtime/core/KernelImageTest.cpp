// KernelImage: the byte form round-trips, and no damaged or hostile byte string gets through.
#include "runtime/core/KernelImage.h"

#include <cstring>
#include <random>

#include <gtest/gtest.h>

#include "runtime/core/Hash.h"
#include "tests/support/TempFolder.h"

namespace gptqc {
namespace {

KernelImage sample() {
  KernelImage image;
  image.descriptor = "w4 g128 sym f16->f16 n4096 k4096 m9..16";
  image.target = "sm_90a h200 sms132";
  image.schedule = "mma t64x16x128 warps4 kwarps4 stages4 splitk2";
  image.launch.entry = "gptqc_linear";
  image.launch.threads = 128;
  image.launch.sharedBytes = 98304;
  image.launch.tileN = 64;
  image.launch.tileM = 16;
  image.launch.splitK = 2;
  image.launch.xVector = 2;
  image.launch.paddedN = 4096;
  image.launch.permutedK = 4096;
  image.launch.permuteShared = 8192;
  image.launch.permuteThreads = 512;
  image.launch.usesPermutation = true;
  image.resources = {96, 4, 8, 16, 32};
  image.compiler = "nvrtc 13.0";
  image.buildKey = sha256Hex("build");
  image.cubin = {0x7f, 'E', 'L', 'F', 0, 1, 2, 255};
  return image;
}

/// Puts the digest right after a change, as someone who means harm would.
void sign(std::vector<uint8_t> &bytes) {
  const Sha256Digest digest = sha256(bytes.data(), bytes.size() - 32);
  std::memcpy(bytes.data() + bytes.size() - 32, digest.data(), 32);
}

Result<KernelImage> read(const std::vector<uint8_t> &bytes) {
  return KernelImage::deserialize(bytes.data(), bytes.size(), "test.img");
}

TEST(KernelImage, RoundTrip) {
  const KernelImage image = sample();
  const auto again = read(image.serialize());
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_EQ(again->descriptor, image.descriptor);
  EXPECT_EQ(again->target, image.target);
  EXPECT_EQ(again->schedule, image.schedule);
  EXPECT_EQ(again->launch, image.launch);
  EXPECT_EQ(again->resources, image.resources);
  EXPECT_EQ(again->compiler, image.compiler);
  EXPECT_EQ(again->buildKey, image.buildKey);
  EXPECT_EQ(again->cubin, image.cubin);
  EXPECT_EQ(again->serialize(), image.serialize());
}

TEST(KernelImage, ExpertsAreKeptAndAbsentInPlainImages) {
  KernelImage image = sample();
  const std::vector<uint8_t> plain = image.serialize();
  EXPECT_EQ(std::string(plain.begin(), plain.end()).find("experts"), std::string::npos);
  image.launch.experts = 128;
  const auto again = read(image.serialize());
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_EQ(again->launch.experts, 128);
  image.launch.experts = 513;
  EXPECT_EQ(read(image.serialize()).status().code(), Code::DataCorrupt);
}

TEST(KernelImage, TilesOfExpertsAreTheMostThatCanBe) {
  LaunchFacts launch;
  launch.tileM = 8;
  launch.experts = 4;
  EXPECT_EQ(launch.blocksM(1), 1);
  EXPECT_EQ(launch.blocksM(3), 3) << "a row each";
  EXPECT_EQ(launch.blocksM(5), 4) << "2, 1, 1, 1";
  EXPECT_EQ(launch.blocksM(12), 5) << "9, 1, 1, 1";
  EXPECT_EQ(launch.blocksM(64), 11) << "1, 1, 1 and 61";
}

TEST(KernelImage, EveryTruncationIsRefused) {
  const std::vector<uint8_t> bytes = sample().serialize();
  for (size_t size = 0; size < bytes.size(); ++size) {
    const std::vector<uint8_t> part(bytes.begin(), bytes.begin() + ptrdiff_t(size));
    const auto image = read(part);
    ASSERT_FALSE(image.ok()) << size;
    ASSERT_EQ(image.status().code(), Code::DataCorrupt);
    ASSERT_EQ(image.status().message().rfind("test.img: ", 0), 0u) << image.status().message();
  }
}

// Inputs of an older form would be refused at the first line, and nothing behind it be fuzzed.
TEST(KernelImage, SeedsOfTheFuzzerAreOfThisForm) {
  for (const char *name : {"image", "support-kernel", "permuted"}) {
    const std::string text = fixtures::readText(std::filesystem::path(GPTQC_SOURCE_DIR) /
                                                "tests/fuzz/corpus/kernel-cache" / name);
    std::vector<uint8_t> bytes(text.begin(), text.end());
    bytes.resize(bytes.size() + 32);
    sign(bytes);
    const auto image = read(bytes);
    EXPECT_TRUE(image.ok()) << name << ": " << image.status().message();
  }
}

TEST(KernelImage, EveryFlippedBitIsRefused) {
  const std::vector<uint8_t> bytes = sample().serialize();
  for (size_t bit = 0; bit < bytes.size() * 8; bit += 3) {
    std::vector<uint8_t> damaged = bytes;
    damaged[bit / 8] ^= uint8_t(1 << (bit % 8));
    ASSERT_FALSE(read(damaged).ok()) << "bit " << bit;
  }
}

TEST(KernelImage, TrailingBytesAreRefused) {
  std::vector<uint8_t> bytes = sample().serialize();
  bytes.push_back(0);
  sign(bytes);
  EXPECT_FALSE(read(bytes).ok());
}

TEST(KernelImage, HostileHeadersWithRightDigest) {
  const std::vector<uint8_t> bytes = sample().serialize();
  const std::string text(bytes.begin(), bytes.end());
  const auto replaced = [&](std::string_view from, std::string_view to) {
    std::vector<uint8_t> changed = bytes;
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    EXPECT_EQ(from.size(), to.size());
    std::memcpy(changed.data() + at, to.data(), to.size());
    sign(changed);
    return read(changed);
  };
  EXPECT_TRUE(replaced("\"threads\":128", "\"threads\":256").ok());
  for (const auto &[from, to] : std::vector<std::pair<std::string_view, std::string_view>>{
           {"\"threads\":128", "\"threads\":-12"},
           {"\"threads\":128", "\"threads\":1e9"},
           {"\"threads\":128", "\"threads\":\"1\""},
           {"\"threads\":128", "\"thr3ads\":128"},
           {"\"split_k\":2", "\"split_k\":0"},
           {"\"permuted_k\":4096", "\"permuted_k\":9e99"},
           {"\"permute_threads\":512", "\"permute_thr3ads\":512"},
           {"\"padded_n\":4096", "\"padded_n\":-999"},
           {"\"entry\":\"gptqc_linear\"", "\"entry\":\"gptqc linear\""},
           {"\"uses_permutation\":true", "\"uses_permutation\":null"},
           {"\"launch\":{", "\"launch\":["}}) {
    const auto image = replaced(from, to);
    EXPECT_FALSE(image.ok()) << to;
    EXPECT_EQ(image.status().code(), Code::DataCorrupt);
  }
}

TEST(KernelImage, RandomHeadersWithRightDigestNeverCrash) {
  const std::vector<uint8_t> bytes = sample().serialize();
  std::mt19937 random(7);
  for (int round = 0; round < 2000; ++round) {
    std::vector<uint8_t> changed = bytes;
    for (int change = 0; change < 4; ++change)
      changed[8 + random() % (changed.size() - 40)] = uint8_t(random());
    sign(changed);
    const auto image = read(changed);
    if (!image.ok())
      ASSERT_EQ(image.status().code(), Code::DataCorrupt);
    else
      ASSERT_TRUE(image->launch.threads >= 0 && image->launch.threads <= 1024);
  }
}

TEST(KernelImage, WorkspaceHoldsCountersThenTiles) {
  LaunchFacts launch;
  launch.tileN = 64;
  launch.tileM = 16;
  launch.paddedN = 4096;
  EXPECT_EQ(launch.workspaceBytes(16), 0);
  launch.splitK = 3;
  EXPECT_EQ(launch.workspaceBytes(0), 0);
  EXPECT_EQ(launch.workspaceBytes(16), 65536 + 64 * 3 * 64 * 16 * 4);
  EXPECT_EQ(launch.workspaceBytes(17), 65536 + 128 * 3 * 64 * 16 * 4);
  EXPECT_EQ(launch.workspaceBytes(1 << 24), 65536 + int64_t(16384) * 3 * 64 * 16 * 4);
  launch.paddedN = int64_t(1) << 40; // the largest that an image may claim
  launch.tileN = 1;
  launch.tileM = 4096;
  launch.splitK = 65535;
  EXPECT_EQ(launch.workspaceBytes(int64_t(1) << 31), 65536 + int64_t(16384) * 65535 * 4096 * 4);
}

} // namespace
} // namespace gptqc
