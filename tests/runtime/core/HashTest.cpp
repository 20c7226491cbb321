// SHA-256 against the example messages of FIPS 180-4 and RFC 6234, in one piece and in all splits.
#include "runtime/core/Hash.h"

#include <filesystem>
#include <fstream>
#include <random>
#include <vector>

#include <gtest/gtest.h>
#include <unistd.h>

#include "runtime/core/Sha256Blocks.h"

namespace gptqc {
namespace {

TEST(Hash, PublishedVectors) {
  EXPECT_EQ(sha256Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256Hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(sha256Hex(std::string(1000000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Hash, PortableAndFastPathAgree) {
  std::mt19937 random(1);
  std::vector<uint8_t> data(64 * 37);
  for (uint8_t &byte : data)
    byte = uint8_t(random());
  for (const size_t blocks : {size_t(1), size_t(2), size_t(37)}) {
    std::array<uint32_t, 8> portable, fast;
    for (uint32_t &word : portable)
      word = random();
    fast = portable;
    sha256BlocksPortable(portable.data(), data.data(), blocks);
    sha256Blocks()(fast.data(), data.data(), blocks);
    EXPECT_EQ(portable, fast) << blocks;
  }
}

TEST(Hash, SplitDoesNotMatter) {
  std::string message;
  for (int i = 0; i < 200; ++i)
    message += char(i * 37);
  for (size_t size = 0; size <= message.size(); ++size) {
    const std::string whole = sha256Hex(std::string_view(message).substr(0, size));
    for (const size_t cut : {size / 3, size / 2, size - size / 5}) {
      Sha256 hash;
      hash.update(message.data(), cut).update(message.data() + cut, size - cut);
      ASSERT_EQ(toHex(hash.finish()), whole) << size << " cut at " << cut;
    }
  }
}

TEST(Hash, FieldsCannotBeSplitDifferently) {
  const auto hashOf = [](std::string_view a, std::string_view b) {
    return toHex(Sha256().updateField(a).updateField(b).finish());
  };
  EXPECT_NE(hashOf("ab", "c"), hashOf("a", "bc"));
  EXPECT_EQ(hashOf("ab", "c"), hashOf("ab", "c"));
}

TEST(Hash, Files) {
  const auto path = std::filesystem::temp_directory_path() / fmt::format("gptqc-hash-{}", getpid());
  std::ofstream(path, std::ios::binary) << "abc";
  const auto digest = sha256File(path);
  std::filesystem::remove(path);
  ASSERT_TRUE(digest.ok()) << digest.status().message();
  EXPECT_EQ(*digest, sha256Hex("abc"));
  EXPECT_EQ(sha256File(path).status().code(), Code::IoError);
}

} // namespace
} // namespace gptqc
