// The text form of Descriptor both ways, its rules, and the buckets of token counts.
#include "runtime/core/Descriptor.h"

#include <random>

#include <gtest/gtest.h>

namespace gptqc {
namespace {

class RandomDescriptors {
public:
  explicit RandomDescriptors(uint64_t seed) : random(seed) {}

  Descriptor next() {
    Descriptor descriptor;
    descriptor.bits = int(between(2, 8));
    descriptor.groupSize = flip() ? -1 : magnitude(1 << 20);
    descriptor.sym = flip();
    descriptor.actOrder = flip();
    descriptor.ragged = descriptor.groupSize != -1 && flip();
    descriptor.act = flip() ? DType::F16 : DType::BF16;
    descriptor.out = flip() ? DType::F16 : DType::BF16;
    descriptor.scales = flip() ? DType::F16 : DType::BF16;
    descriptor.siluMul = flip();
    descriptor.n = magnitude(int64_t(1) << 31);
    if (descriptor.siluMul)
      descriptor.n = descriptor.n / 2 * 2 + (descriptor.n == 1 ? 2 : 0);
    descriptor.experts = flip() ? 1 : int(between(2, kMaxExperts));
    descriptor.k = magnitude(std::clamp<int64_t>(
        (int64_t(1) << 40) / descriptor.n / descriptor.experts, 1, int64_t(1) << 31));
    if (descriptor.n * descriptor.k > (int64_t(1) << 40) / descriptor.experts)
      descriptor.experts = 1;
    descriptor.m.lo = magnitude(1 << 20);
    descriptor.m.hi = flip() ? kUnboundedM : descriptor.m.lo + between(0, 1 << 20);
    descriptor.bias = flip();
    descriptor.batchInvariant = flip();
    return descriptor;
  }

  bool flip() { return random() & 1; }
  int64_t between(int64_t lo, int64_t hi) {
    return std::uniform_int_distribution<int64_t>(lo, hi)(random);
  }
  /// 1..limit, all orders of magnitude alike.
  int64_t magnitude(int64_t limit) {
    const int64_t bound = std::min(limit, int64_t(1) << between(0, 31));
    return between(1, bound);
  }

private:
  std::mt19937_64 random;
};

constexpr uint64_t kSeed = 20260101;

TEST(Descriptor, ParsesWhatItPrints) {
  RandomDescriptors source(kSeed);
  for (int i = 0; i < 20000; ++i) {
    const Descriptor descriptor = source.next();
    const std::string text = descriptor.print();
    SCOPED_TRACE(fmt::format("seed {}, case {}: {}", kSeed, i, text));
    const Result<Descriptor> parsed = Descriptor::parse(text);
    ASSERT_TRUE(parsed.ok()) << parsed.status().message();
    ASSERT_EQ(*parsed, descriptor);
    ASSERT_EQ(parsed->print(), text);
  }
}

TEST(Descriptor, DamagedTextIsRefusedOrMeansWhatItPrints) {
  RandomDescriptors source(kSeed + 1);
  const std::string alphabet = "0123456789 -.>:abcdefghiklmnoprstuvwxy_";
  int refused = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string text = source.next().print();
    const size_t at = size_t(source.between(0, int64_t(text.size()) - 1));
    const char other = alphabet[size_t(source.between(0, int64_t(alphabet.size()) - 1))];
    if (source.flip())
      text[at] = other;
    else if (source.flip())
      text.insert(at, 1, other);
    else
      text.erase(at, size_t(source.between(1, 4)));
    SCOPED_TRACE(fmt::format("seed {}, case {}: {}", kSeed + 1, i, text));
    const Result<Descriptor> parsed = Descriptor::parse(text);
    if (!parsed.ok()) {
      ++refused;
      ASSERT_EQ(parsed.status().code(), Code::InvalidArgument);
      ASSERT_NE(parsed.status().message().find("descriptor '"), std::string::npos);
      continue;
    }
    const Result<Descriptor> again = Descriptor::parse(parsed->print());
    ASSERT_TRUE(again.ok());
    ASSERT_EQ(*again, *parsed);
  }
  EXPECT_GT(refused, 5000) << "the damage must reach the error paths";
}

TEST(Descriptor, PrintsTheDocumentedForms) {
  const char *forms[] = {
      "w4 g128 sym f16->f16 n4096 k4096 m9..16",
      "w3 g-1 asym bf16->f16 n7393 k11008 m1..",
      "w8 g32 asym actorder ragged bf16->bf16 scales:bf16 n48 k100 m8193.. bias",
      "w2 g64 sym actorder f16->bf16 n22016 k4096 m1..1 bias silu_mul batch_invariant",
      "w4 g128 sym f16->f16 n14336 k4096 experts8 m3..4",
  };
  for (const char *form : forms) {
    const Result<Descriptor> parsed = Descriptor::parse(form);
    ASSERT_TRUE(parsed.ok()) << parsed.status().message();
    EXPECT_EQ(parsed->print(), form);
  }
}

TEST(Descriptor, BlanksBetweenTokensAreFree) {
  const Result<Descriptor> parsed = Descriptor::parse("  w4\tg128  sym f16->f16 n64 k64 m1..1 \n");
  ASSERT_TRUE(parsed.ok()) << parsed.status().message();
  EXPECT_EQ(parsed->print(), "w4 g128 sym f16->f16 n64 k64 m1..1");
}

struct BadText {
  const char *text;
  const char *reason; ///< fragment of the message
};

TEST(Descriptor, RefusesBadTextWithReasonAndRemedy) {
  const BadText cases[] = {
      {"", "expected w<number>, found the end (write: w<bits>"},
      {"4 g128 sym f16->f16 n64 k64 m1..1", "expected w<number>, found '4'"},
      {"w4", "expected g<number>, found the end"},
      {"w4 128 sym f16->f16 n64 k64 m1..1", "expected g<number>, found '128'"},
      {"w4 g sym f16->f16 n64 k64 m1..1", "expected g<number>, found 'g'"},
      {"w4 g0128 sym f16->f16 n64 k64 m1..1", "expected g<number>, found 'g0128'"},
      {"w4 g128 f16->f16 n64 k64 m1..1", "expected sym or asym, found 'f16->f16'"},
      {"w4 g128 sym asym f16->f16 n64 k64 m1..1", "expected <act>-><out>, e.g. f16->f16"},
      {"w4 g128 sym f16 n64 k64 m1..1", "expected <act>-><out>, e.g. f16->f16, found 'f16'"},
      {"w4 g128 sym f32->f16 n64 k64 m1..1", "the types are f16 and bf16, found 'f32->f16'"},
      {"w4 g128 sym ragged actorder f16->f16 n64 k64 m1..1", "found 'actorder'"},
      {"w4 g128 sym f16->f16 scales:f16 n64 k64 m1..1", "expected n<number>, found 'scales:f16'"},
      {"w4 g128 sym f16->f16 k64 n64 m1..1", "expected n<number>, found 'k64'"},
      {"w4 g128 sym f16->f16 n64 m1..1", "expected k<number>, found 'm1..1'"},
      {"w4 g128 sym f16->f16 n64 k64", "expected m<lo>..<hi> or m<lo>.., found the end"},
      {"w4 g128 sym f16->f16 n64 k64 m1", "expected m<lo>..<hi> or m<lo>.., found 'm1'"},
      {"w4 g128 sym f16->f16 n64 k64 m..4", "expected m<lo>..<hi> or m<lo>.., found 'm..4'"},
      {"w4 g128 sym f16->f16 n64 k64 m1..4 silu_mul bias", "in this order"},
      {"w4 g128 sym f16->f16 n64 k64 m1..4 fast", "found 'fast'"},
      {"w1 g128 sym f16->f16 n64 k64 m1..1", "bits must be 2 to 8"},
      {"w9 g128 sym f16->f16 n64 k64 m1..1", "bits must be 2 to 8"},
      {"w4294967300 g128 sym f16->f16 n64 k64 m1..1", "bits must be 2 to 8"},
      {"w4 g0 sym f16->f16 n64 k64 m1..1", "the group size must be positive, or -1"},
      {"w4 g-2 sym f16->f16 n64 k64 m1..1", "the group size must be positive, or -1"},
      {"w4 g128 sym f16->f16 n0 k64 m1..1", "n and k must be 1 to 2^31"},
      {"w4 g128 sym f16->f16 n64 k-64 m1..1", "n and k must be 1 to 2^31"},
      {"w4 g128 sym f16->f16 n2147483649 k64 m1..1", "n and k must be 1 to 2^31"},
      {"w4 g128 sym f16->f16 n2097152 k1048576 m1..1", "must be at most 2^40"},
      {"w4 g128 sym f16->f16 n64 k64 m1..1 a\x01z", "found 'a\\x01z'"},
      {"w4 g128 sym f16->f16 n99999999999999999999 k64 m1..1", "expected n<number>"},
      {"w4 g128 sym f16->f16 n64 k64 m0..1", "the token range must start at 1"},
      {"w4 g128 sym f16->f16 n64 k64 m5..4", "not end before it starts"},
      {"w4 g128 sym f16->f16 n63 k64 m1..1 silu_mul", "silu_mul needs an even n"},
      {"w4 g128 sym f16->f16 n64 k64 experts1 m1..1", "2 experts at least"},
      {"w4 g128 sym f16->f16 n64 k64 experts m1..1", "expected experts<number>"},
      {"w4 g128 sym f16->f16 n64 k64 experts513 m1..1", "2 to 512 experts"},
      {"w4 g128 sym f16->f16 n64 k64 m1..1 experts8", "found 'experts8'"},
      {"w4 g128 sym f16->f16 n1048576 k1048576 experts2 m1..1", "times the experts"},
      {"w4 g-1 sym actorder ragged f16->f16 n64 k64 m1..1", "drop ragged"},
  };
  for (const BadText &bad : cases) {
    const Result<Descriptor> parsed = Descriptor::parse(bad.text);
    ASSERT_FALSE(parsed.ok()) << bad.text;
    EXPECT_EQ(parsed.status().code(), Code::InvalidArgument);
    EXPECT_NE(parsed.status().message().find(bad.reason), std::string::npos)
        << bad.text << "\n  says: " << parsed.status().message();
    EXPECT_EQ(parsed.status().message().find('\n'), std::string::npos) << "one line only";
  }
}

TEST(Descriptor, CanonicalGroupSize) {
  Descriptor descriptor;
  descriptor.n = 64;
  descriptor.k = 128;
  descriptor.groupSize = 64;
  EXPECT_EQ(descriptor.canonical().groupSize, 64);
  descriptor.groupSize = 128;
  EXPECT_EQ(descriptor.canonical().groupSize, -1);
  descriptor.groupSize = 4096;
  EXPECT_EQ(descriptor.canonical().groupSize, -1);
  EXPECT_EQ(descriptor.canonical().canonical(), descriptor.canonical());
  descriptor.ragged = true;
  EXPECT_EQ(descriptor.canonical(), descriptor) << "a ragged layer keeps its nominal size";
}

TEST(Descriptor, DerivedSizes) {
  Descriptor descriptor;
  descriptor.n = 96;
  descriptor.k = 100;
  descriptor.groupSize = 32;
  EXPECT_EQ(descriptor.groupCount(), 4) << "a short last group counts";
  EXPECT_EQ(descriptor.effectiveGroupSize(), 32);
  descriptor.groupSize = -1;
  EXPECT_EQ(descriptor.groupCount(), 1);
  EXPECT_EQ(descriptor.effectiveGroupSize(), 100);
  descriptor.groupSize = 512;
  EXPECT_EQ(descriptor.effectiveGroupSize(), 100);
  EXPECT_EQ(descriptor.outputColumns(), 96);
  descriptor.siluMul = true;
  EXPECT_EQ(descriptor.outputColumns(), 48);
  descriptor.bits = 3;
  EXPECT_EQ(descriptor.maxCode(), 7);
  EXPECT_EQ(descriptor.symZero(), 4);
}

TEST(Buckets, PartitionAllTokenCounts) {
  const std::vector<MRange> buckets = allBuckets();
  ASSERT_EQ(buckets.size(), 15u);
  EXPECT_EQ(buckets.front(), (MRange{1, 1}));
  EXPECT_EQ(buckets.back(), (MRange{8193, kUnboundedM}));
  for (size_t i = 1; i < buckets.size(); ++i)
    EXPECT_EQ(buckets[i].lo, buckets[i - 1].hi + 1);
  for (int64_t m = 1; m <= 20000; ++m) {
    const MRange bucket = bucketFor(m);
    ASSERT_LE(bucket.lo, m);
    ASSERT_GE(bucket.hi, m);
    ASSERT_NE(std::find(buckets.begin(), buckets.end(), bucket), buckets.end()) << m;
  }
}

} // namespace
} // namespace gptqc
