// The nvrtc tier: kernels of a pairwise cover of the descriptor space compile for every target, and
// default schedules neither spill nor get serialized. Needs NVRTC, no GPU. GPTQC_NVRTC_FULL=1
// compiles the full product of the main factors instead.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <thread>

#include <gtest/gtest.h>

#include "compiler/Compiler.h"
#include "tests/support/Pairwise.h"

namespace gptqc {
namespace {

constexpr int kMaxCompiles = 300;
constexpr unsigned kThreads = 2; // the full product takes all cores

/// The factors, in the order of a row.
enum Factor {
  Bits,
  Zeros,
  Group,
  Order,
  Types,
  Scales,
  Epilogue,
  Bucket,
  KernelKind,
  Shape,
  Gpu,
  Count
};

constexpr std::array<const char *, 2> kZeros = {"sym", "asym"};
constexpr std::array<const char *, 6> kGroups = {"g-1", "g128", "g64", "g32", "g24", "g160"};
constexpr std::array<const char *, 3> kOrders = {"", " actorder", " actorder ragged"};
constexpr std::array<const char *, 4> kTypes = {"f16->f16", "bf16->bf16", "f16->bf16", "bf16->f16"};
constexpr std::array<const char *, 2> kScales = {"", " scales:bf16"};
constexpr std::array<const char *, 5> kEpilogues = {"", " bias", " silu_mul", " bias silu_mul",
                                                    " batch_invariant"};
constexpr std::array<const char *, 2> kFamilies = {"default", "simt"};
constexpr std::array<const char *, 4> kShapes = {"n4096 k4096", "n4304 k11008", "n7394 k4100",
                                                 "n48 k14336"};
constexpr std::array<const char *, 7> kGpus = {"sm_75",  "sm_80",  "sm_86", "sm_89",
                                               "sm_90a", "sm_100", "sm_120"};

using Row = std::vector<int>;

std::string descriptorText(const Row &row) {
  const MRange m = allBuckets()[size_t(row[Bucket])];
  const std::string hi = m.hi == kUnboundedM ? "" : std::to_string(m.hi);
  return fmt::format("w{} {} {}{} {}{} {} m{}..{}{}", row[Bits] + 2, kGroups[size_t(row[Group])],
                     kZeros[size_t(row[Zeros])], kOrders[size_t(row[Order])],
                     kTypes[size_t(row[Types])], kScales[size_t(row[Scales])],
                     kShapes[size_t(row[Shape])], m.lo, hi, kEpilogues[size_t(row[Epilogue])]);
}

/// One group has no order, and its lengths cannot differ.
bool allowed(const Row &row) { return row[Group] != 0 || row[Order] == 0; }

std::vector<int> levelCounts() {
  return {7,
          int(kZeros.size()),
          int(kGroups.size()),
          int(kOrders.size()),
          int(kTypes.size()),
          int(kScales.size()),
          int(kEpilogues.size()),
          int(allBuckets().size()),
          int(kFamilies.size()),
          int(kShapes.size()),
          int(kGpus.size())};
}

/// bits x zeros x {-1, 128, 32} x {plain, actorder} x {f16, bf16} x four buckets x family x target.
std::vector<Row> fullProduct() {
  std::vector<Row> rows;
  for (int bits = 0; bits < 7; ++bits)
    for (int zeros : {0, 1})
      for (int group : {0, 1, 3})
        for (int order : {0, 1})
          for (int types : {0, 1})
            for (int bucket : {0, 4, 7, 12})
              for (int family : {0, 1})
                for (int gpu = 0; gpu < int(kGpus.size()); ++gpu) {
                  Row row = {bits, zeros, group, order, types, 0, 0, bucket, family, 0, gpu};
                  if (allowed(row))
                    rows.push_back(row);
                }
  return rows;
}

/// Empty when the kernel is fine, else what is wrong.
std::string compileRow(Compiler &compiler, const Row &row) {
  Result<Descriptor> d = Descriptor::parse(descriptorText(row));
  if (!d.ok())
    return d.status().message();
  const Target t = *Target::parse(kGpus[size_t(row[Gpu])]);
  std::optional<Schedule> schedule;
  if (row[KernelKind] == 1)
    schedule = *Schedule::parse("simt t128x4x16 warps4 stages1");
  Result<KernelImage> image = compiler.compileLinear(*d, t, schedule);
  if (!image.ok())
    return image.status().message();
  if (image->cubin.empty() || image->resources.registers == 0)
    return d->print() + ": no code or no resource report";
  if (image->launch.sharedBytes + image->resources.staticSharedBytes > t.maxSharedMemory())
    return d->print() + ": more shared memory than " + t.arch() + " has";
  const bool hasTensorCores = t.hasBf16Mma() || d->act == DType::F16;
  if (!schedule && hasTensorCores && image->schedule.starts_with("simt "))
    return d->print() + ": the default is '" + image->schedule + "', on tensor cores";
  return "";
}

TEST(NvrtcCover, DefaultSchedulesCompileWithoutSpills) {
  CompilerOptions options;
  options.useCache = false;
  Result<std::unique_ptr<Compiler>> compiler = Compiler::create(options);
  ASSERT_TRUE(compiler.ok()) << compiler.status().message();
  const char *full = std::getenv("GPTQC_NVRTC_FULL");
  const bool isFull = full && std::string_view(full) == "1";
  const std::vector<Row> rows =
      isFull ? fullProduct() : fixtures::pairwiseCover(levelCounts(), allowed, 1);
  std::printf("%zu compiles\n", rows.size());
  if (!isFull) {
    ASSERT_LE(rows.size(), size_t(kMaxCompiles));
  }
  std::atomic<size_t> next = 0;
  std::mutex mutex;
  std::vector<std::string> failures;
  const auto work = [&] {
    for (size_t i = next++; i < rows.size(); i = next++) {
      std::string failure = compileRow(**compiler, rows[i]);
      if (failure.empty())
        continue;
      std::lock_guard lock(mutex);
      failures.push_back(std::move(failure));
    }
  };
  {
    std::vector<std::jthread> pool;
    const unsigned threads =
        isFull ? std::max(kThreads, std::thread::hardware_concurrency()) : kThreads;
    for (unsigned i = 0; i < threads; ++i)
      pool.emplace_back(work);
  }
  for (const std::string &failure : failures)
    ADD_FAILURE() << failure;
}

TEST(NvrtcCover, GroupedKernelsCompileWithoutSpills) {
  CompilerOptions options;
  options.useCache = false;
  Result<std::unique_ptr<Compiler>> compiler = Compiler::create(options);
  ASSERT_TRUE(compiler.ok()) << compiler.status().message();
  constexpr std::pair<const char *, const char *> kCases[] = {
      {"w4 g128 sym f16->f16 n14336 k4096 experts8 m2..2", "sm_90a"},
      {"w4 g128 sym bf16->bf16 n768 k2048 experts128 m513..1024", "sm_90a"},
      {"w4 g128 asym actorder f16->f16 n28672 k4096 experts8 m17..32 bias silu_mul", "sm_80"},
      {"w3 g64 sym actorder ragged f16->f16 n2048 k768 experts512 m8193..", "sm_120"},
      {"w8 g32 asym f16->f16 n4096 k14336 experts3 m65..128", "sm_75"}};
  for (const auto &[descriptor, target] : kCases) {
    const Result<KernelImage> image = (*compiler)->compileLinear(
        *Descriptor::parse(descriptor), *Target::parse(target), std::nullopt);
    ASSERT_TRUE(image.ok()) << image.status().message();
    EXPECT_GT(image->launch.experts, 1);
    EXPECT_EQ(image->schedule.rfind("mma ", 0), 0u) << image->schedule;
  }
}

TEST(NvrtcCover, ModelKernelsCompileWithoutSpills) {
  CompilerOptions options;
  options.useCache = false;
  Result<std::unique_ptr<Compiler>> compiler = Compiler::create(options);
  ASSERT_TRUE(compiler.ok()) << compiler.status().message();
  for (const char *target : {"sm_80", "sm_90a"}) {
    const Result<KernelImage> image =
        (*compiler)->compileSupport("support/model.cu", "attend128_f16", *Target::parse(target));
    ASSERT_TRUE(image.ok()) << image.status().message();
    EXPECT_EQ(image->resources.spillStores, 0) << target;
  }
}

} // namespace
} // namespace gptqc
