// Text form and rules of Descriptor.
#include "runtime/core/Descriptor.h"

#include <algorithm>
#include <bit>
#include <optional>

#include "runtime/core/TextForm.h"

namespace gptqc {

namespace {

constexpr std::string_view kSyntax =
    "w<bits> g<size>|g-1 sym|asym [actorder] [ragged] <act>-><out> [scales:bf16] n<N> k<K> "
    "[experts<E>] m<lo>..[<hi>] [bias] [silu_mul] [batch_invariant]";

/// Beyond these a dimension is a mistake. Sizes and offsets of the packed form, padded from one
/// column a group to 16 and from one row to 64, then stay far from overflow in 64 bits.
constexpr int64_t kMaxDimension = int64_t(1) << 31;
constexpr int64_t kMaxWeights = int64_t(1) << 40;

std::optional<DType> parseDType(std::string_view text) {
  if (text == "f16")
    return DType::F16;
  if (text == "bf16")
    return DType::BF16;
  return std::nullopt;
}

/// Walks the tokens of a descriptor in their fixed order; the first mismatch is kept as the error.
class Reader {
public:
  explicit Reader(std::string_view descriptorText)
      : text(descriptorText), tokens(splitTokens(descriptorText)) {}

  bool optional(std::string_view word) {
    if (next >= tokens.size() || tokens[next] != word)
      return false;
    ++next;
    return true;
  }

  std::string_view peek() const { return next < tokens.size() ? tokens[next] : std::string_view(); }

  void integer(std::string_view prefix, int64_t &value) {
    const std::optional<int64_t> parsed = parsePrefixed(peek(), prefix);
    if (!parsed)
      return fail(fmt::format("expected {}<number>", prefix));
    value = *parsed;
    ++next;
  }

  void fail(std::string what) {
    if (!error.ok())
      return;
    const std::string found =
        next < tokens.size() ? fmt::format("'{}'", quoteName(tokens[next])) : "the end";
    error = invalidArgument("descriptor '{}': {}, found {} (write: {})", quoteName(text), what,
                            found, kSyntax);
  }

  void advance() { ++next; }
  bool atEnd() const { return next >= tokens.size(); }

  Status error;

private:
  std::string_view text;
  std::vector<std::string_view> tokens;
  size_t next = 0;
};

void readTypes(Reader &reader, Descriptor &descriptor) {
  const std::string_view token = reader.peek();
  const size_t arrow = token.find("->");
  if (arrow == std::string_view::npos)
    return reader.fail("expected <act>-><out>, e.g. f16->f16");
  const std::optional<DType> act = parseDType(token.substr(0, arrow));
  const std::optional<DType> out = parseDType(token.substr(arrow + 2));
  if (!act || !out)
    return reader.fail("the types are f16 and bf16");
  descriptor.act = *act;
  descriptor.out = *out;
  reader.advance();
  if (reader.optional("scales:bf16"))
    descriptor.scales = DType::BF16;
}

void readMRange(Reader &reader, MRange &range) {
  const std::string_view token = reader.peek();
  const size_t dots = token.find("..");
  if (!token.starts_with('m') || dots == std::string_view::npos)
    return reader.fail("expected m<lo>..<hi> or m<lo>..");
  const std::optional<int64_t> lo = parseInteger(token.substr(1, dots - 1));
  const std::string_view high = token.substr(dots + 2);
  const std::optional<int64_t> hi = high.empty() ? kUnboundedM : parseInteger(high);
  if (!lo || !hi)
    return reader.fail("expected m<lo>..<hi> or m<lo>..");
  range = {*lo, *hi};
  reader.advance();
}

} // namespace

std::string_view dtypeName(DType type) { return type == DType::F16 ? "f16" : "bf16"; }

Result<Descriptor> Descriptor::parse(std::string_view text) {
  Descriptor descriptor;
  Reader reader(text);
  int64_t bits = 0;
  reader.integer("w", bits);
  reader.integer("g", descriptor.groupSize);
  if (reader.optional("asym"))
    descriptor.sym = false;
  else if (!reader.optional("sym"))
    reader.fail("expected sym or asym");
  descriptor.actOrder = reader.optional("actorder");
  descriptor.ragged = reader.optional("ragged");
  readTypes(reader, descriptor);
  reader.integer("n", descriptor.n);
  reader.integer("k", descriptor.k);
  int64_t experts = 1;
  if (reader.peek().starts_with("experts")) {
    reader.integer("experts", experts);
    if (experts < 2)
      reader.fail("a grouped layer has 2 experts at least; a plain layer says nothing of them");
  }
  readMRange(reader, descriptor.m);
  descriptor.bias = reader.optional("bias");
  descriptor.siluMul = reader.optional("silu_mul");
  descriptor.batchInvariant = reader.optional("batch_invariant");
  if (!reader.atEnd())
    reader.fail("expected bias, silu_mul, batch_invariant (in this order) or the end");
  GPTQC_TRY(reader.error);
  descriptor.bits = int(bits < 0 || bits > 99 ? 99 : bits);
  descriptor.experts = int(std::min<int64_t>(experts, kMaxExperts + 1));
  GPTQC_TRY(descriptor.validate());
  return descriptor;
}

std::string Descriptor::print() const {
  std::string text = fmt::format("w{} g{} {}", bits, groupSize, sym ? "sym" : "asym");
  if (actOrder)
    text += " actorder";
  if (ragged)
    text += " ragged";
  text += fmt::format(" {}->{}", dtypeName(act), dtypeName(out));
  if (scales == DType::BF16)
    text += " scales:bf16";
  text += fmt::format(" n{} k{}", n, k);
  if (experts != 1)
    text += fmt::format(" experts{}", experts);
  text += fmt::format(" m{}..", m.lo);
  if (m.hi != kUnboundedM)
    text += fmt::format("{}", m.hi);
  if (bias)
    text += " bias";
  if (siluMul)
    text += " silu_mul";
  if (batchInvariant)
    text += " batch_invariant";
  return text;
}

Status Descriptor::validate() const {
  const auto refuse = [&](std::string_view why) {
    return invalidArgument("descriptor '{}': {}", print(), why);
  };
  if (bits < 2 || bits > 8)
    return refuse("bits must be 2 to 8");
  if (groupSize < -1 || groupSize == 0)
    return refuse("the group size must be positive, or -1 for one group over all of K");
  if (n < 1 || n > kMaxDimension || k < 1 || k > kMaxDimension)
    return refuse("n and k must be 1 to 2^31");
  if (experts < 1 || experts > kMaxExperts)
    return refuse("a grouped layer has 2 to 512 experts");
  if (n * k > kMaxWeights / experts)
    return refuse("n x k, times the experts, must be at most 2^40");
  if (m.lo < 1 || m.hi < m.lo)
    return refuse("the token range must start at 1 or above and not end before it starts");
  if (siluMul && n % 2 != 0)
    return refuse("silu_mul needs an even n (gate rows, then as many up rows)");
  if (ragged && groupSize == -1)
    return refuse("ragged says that group lengths differ, but g-1 is a single group; drop ragged");
  return Status();
}

Descriptor Descriptor::canonical() const {
  Descriptor result = *this;
  // A ragged layer keeps its nominal size: its groups are what the table says.
  if (!ragged && groupSize >= k)
    result.groupSize = -1;
  return result;
}

MRange bucketFor(int64_t m) {
  if (m <= 2)
    return {m < 1 ? 1 : m, m < 1 ? 1 : m};
  if (m > 8192)
    return {8193, kUnboundedM};
  const int64_t hi = int64_t(std::bit_ceil(uint64_t(m)));
  return {hi / 2 + 1, hi};
}

std::vector<MRange> allBuckets() {
  std::vector<MRange> buckets;
  for (int64_t m = 1; m <= 8192; m *= 2)
    buckets.push_back(bucketFor(m));
  buckets.push_back(bucketFor(8193));
  return buckets;
}

} // namespace gptqc
