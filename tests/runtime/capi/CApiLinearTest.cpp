// The GPU part of the C interface on a fake libcuda.so.1: contexts, linears, runs, and every
// mistake that a caller can make.
#include "gptqc/gptqc.hpp"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <vector>

#include <dlfcn.h>
#include <gtest/gtest.h>

#include "tests/runtime/device/FakeDriver.h"
#include "tests/runtime/dispatch/FakeKernels.h"

namespace {

using gptqc::Descriptor;
using gptqc::KernelImage;

gptqc::FakeState &fake() {
  void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!library)
    std::abort();
  return *reinterpret_cast<gptqc::FakeState *(*)()>(dlsym(library, "fakeDriverState"))();
}

struct FakeCompiler {
  std::atomic<int> calls = 0;
  int failure = 0;
  bool damaged = false, empty = false;
};

gptqc_error *give(FakeCompiler &self, const KernelImage &kernel, gptqc_image *image) {
  ++self.calls;
  if (self.failure)
    return gptqc_error_create(self.failure, "the compiler refuses");
  if (self.empty)
    return nullptr;
  auto *bytes = new std::vector<uint8_t>(kernel.serialize());
  if (self.damaged)
    (*bytes)[bytes->size() / 2] ^= 1;
  image->data = bytes->data();
  image->size = bytes->size();
  image->owner = bytes;
  image->release = [](gptqc_image *done) {
    delete static_cast<std::vector<uint8_t> *>(done->owner);
  };
  return nullptr;
}

gptqc_compiler tableOf(FakeCompiler &compiler) {
  gptqc_compiler table = {};
  table.struct_size = sizeof table;
  table.user = &compiler;
  table.compile_linear = [](void *user, const char *descriptor, const char *, gptqc_image *image) {
    return give(*static_cast<FakeCompiler *>(user),
                gptqc::fakeLinear(*Descriptor::parse(descriptor)), image);
  };
  table.compile_support = [](void *user, const char *, const char *, const char *,
                             gptqc_image *image) {
    return give(*static_cast<FakeCompiler *>(user), gptqc::fakeSupport(), image);
  };
  return table;
}

/// w4 g64 n64 k128 with zeros in v1 form: all 7, so the layer is symmetric.
struct Tensors {
  Tensors() {
    tensors.struct_size = sizeof tensors;
    tensors.bits = 4;
    tensors.n = 64, tensors.k = 128, tensors.group_size = 64, tensors.groups = 2;
    tensors.zeros_form = GPTQC_ZEROS_MINUS_ONE;
    tensors.qweight = qweight.data();
    tensors.qzeros = qzeros.data();
    tensors.scales = scales.data();
  }
  std::vector<uint32_t> qweight = std::vector<uint32_t>(128 / 8 * 64, 0x12345678);
  std::vector<uint32_t> qzeros = std::vector<uint32_t>(4 * 64 / 8, 0x77777777);
  std::vector<uint16_t> scales = std::vector<uint16_t>(4 * 64, 0x2c00);
  gptqc_tensors tensors = {};
};

/// The call fails with this code and says this.
void refused(gptqc_error *error, int code, const std::string &says) {
  EXPECT_EQ(gptqc_error_code(error), code) << gptqc_error_message(error);
  EXPECT_NE(std::string(gptqc_error_message(error)).find(says), std::string::npos)
      << gptqc_error_message(error);
  gptqc_error_free(error);
}

class CApiLinearTest : public testing::Test {
protected:
  void SetUp() override {
    fake() = gptqc::FakeState();
    table = tableOf(compiler);
    options.use_cache = false;
    options.compiler = &table;
  }
  gptqc_error *create(gptqc_context *context, const gptqc_tensors &tensors,
                      const gptqc_linear_options *linearOptions = nullptr) {
    gptqc_linear *linear = nullptr;
    gptqc_error *error = gptqc_linear_create(context, &tensors, 1, linearOptions, nullptr, &linear);
    EXPECT_EQ(linear == nullptr, error != nullptr);
    gptqc_linear_free(linear);
    return error;
  }

  FakeCompiler compiler;
  gptqc_compiler table = {};
  gptqc::context_options options;
  Tensors plain;
};

TEST_F(CApiLinearTest, RunsPreparedLayers) {
  std::optional<gptqc::context> context(options);
  EXPECT_EQ(context->target(), "sm_90a h200 sms132");
  const gptqc::linear linear(*context, {plain.tensors, plain.tensors});
  context.reset(); // the linear keeps what it needs
  EXPECT_EQ(linear.descriptor(), "w4 g64 sym f16->f16 n128 k128 m1..");
  EXPECT_EQ(linear.input_columns().back(), 127);
  EXPECT_GT(linear.bytes(), 128 * 128 / 2);
  linear.prepare(1, 16);
  EXPECT_EQ(linear.workspace(16), 0);
  const int calls = compiler.calls;
  const int64_t allocations = fake().allocationCalls;
  fake().launches.clear();
  linear.run(1 << 20, 128, 16, 1 << 21, 128, 0, 0, nullptr);
  linear.run(0, 0, 0, 0, 0, 0, 0, nullptr);
  EXPECT_EQ(fake().launches.size(), 1u);
  EXPECT_EQ(compiler.calls, calls);
  EXPECT_EQ(fake().allocationCalls, allocations);
}

TEST_F(CApiLinearTest, TensorParallelRanks) {
  const gptqc::context context(options);
  gptqc_linear_options share = gptqc::linear_options();
  share.k_rank = 1, share.k_ranks = 2;
  const gptqc::linear row(context, {plain.tensors}, share);
  EXPECT_EQ(row.descriptor(), "w4 g-1 sym f16->f16 n64 k64 m1..");
  EXPECT_EQ(row.input_columns().front(), 64);
  share = gptqc::linear_options();
  share.n_rank = 0, share.n_ranks = 4;
  EXPECT_EQ(gptqc::linear(context, {plain.tensors}, share).descriptor(),
            "w4 g64 sym f16->f16 n16 k128 m1..");
}

TEST_F(CApiLinearTest, GroupedLayers) {
  const gptqc::context context(options);
  const std::vector<gptqc_tensors> parts(8, plain.tensors);
  const gptqc::linear experts = gptqc::linear::grouped(context, parts, 4);
  EXPECT_EQ(experts.descriptor(), "w4 g64 sym f16->f16 n128 k128 experts4 m1..");
  experts.prepare(1, 16);
  fake().launches.clear();
  experts.run_grouped(1 << 20, 128, 16, 4096, 1 << 21, 128, 0, 0, nullptr);
  experts.run_grouped(0, 0, 0, 0, 0, 0, 0, 0, nullptr);
  EXPECT_EQ(fake().launches.size(), 1u);
  refused(gptqc_linear_run_grouped(experts.get(), 1 << 20, 128, 16, 0, 1 << 21, 128, 0, 0, nullptr),
          GPTQC_INVALID_ARGUMENT, "needs the offsets");
  refused(gptqc_linear_run(experts.get(), 1 << 20, 128, 16, 1 << 21, 128, 0, 0, nullptr),
          GPTQC_INVALID_ARGUMENT, "use gptqc_linear_run_grouped");
  const gptqc::linear one(context, {plain.tensors});
  refused(gptqc_linear_run_grouped(one.get(), 0, 0, 1, 4096, 0, 0, 0, 0, nullptr),
          GPTQC_INVALID_ARGUMENT, "use gptqc_linear_run");
  refused(gptqc_linear_run_grouped(nullptr, 0, 0, 1, 0, 0, 0, 0, 0, nullptr),
          GPTQC_INVALID_ARGUMENT, "NULL");
  gptqc_linear *linear = nullptr;
  const auto create = [&](size_t count, size_t each) {
    return gptqc_linear_create_grouped(context.get(), parts.data(), count, each, nullptr, nullptr,
                                       &linear);
  };
  refused(create(1, 2), GPTQC_INVALID_ARGUMENT, "2 to 512");
  refused(create(4, 0), GPTQC_INVALID_ARGUMENT, "a part");
  refused(gptqc_linear_create_grouped(context.get(), nullptr, 2, 1, nullptr, nullptr, &linear),
          GPTQC_INVALID_ARGUMENT, "must not be NULL");
  EXPECT_EQ(gptqc_has_feature("grouped"), 1);
}

TEST_F(CApiLinearTest, ContextMistakes) {
  gptqc_context *context = nullptr;
  gptqc_context_options raw = {};
  refused(gptqc_context_create(nullptr, &context), GPTQC_INVALID_ARGUMENT, "must not be NULL");
  refused(gptqc_context_create(&raw, nullptr), GPTQC_INVALID_ARGUMENT, "must not be NULL");
  refused(gptqc_context_create(&raw, &context), GPTQC_INVALID_ARGUMENT, "struct_size is 0");
  raw.struct_size = sizeof raw;
  raw.cache = "";
  raw.pack_count = 1;
  refused(gptqc_context_create(&raw, &context), GPTQC_INVALID_ARGUMENT, "packs is NULL");
  const char *pack = nullptr;
  raw.packs = &pack;
  refused(gptqc_context_create(&raw, &context), GPTQC_INVALID_ARGUMENT, "packs[0] is NULL");
  pack = "/no/such/pack";
  refused(gptqc_context_create(&raw, &context), GPTQC_NOT_FOUND, "/no/such/pack");
  raw.pack_count = 0;
  raw.device = 7;
  refused(gptqc_context_create(&raw, &context), GPTQC_INVALID_ARGUMENT, "GPU 7");
  raw.device = 0;
  raw.threads = -1;
  refused(gptqc_context_create(&raw, &context), GPTQC_INVALID_ARGUMENT, "threads is -1");
  raw.threads = 0;
  raw.log_topics = "noise";
  refused(gptqc_context_create(&raw, &context), GPTQC_INVALID_ARGUMENT, "noise");
  raw.log_topics = nullptr;
  gptqc_compiler broken = table;
  broken.compile_linear = nullptr;
  raw.compiler = &broken;
  refused(gptqc_context_create(&raw, &context), GPTQC_INVALID_ARGUMENT, "compile_linear");
  broken.struct_size = 3;
  refused(gptqc_context_create(&raw, &context), GPTQC_INVALID_ARGUMENT, "struct_size is 3");
  EXPECT_EQ(context, nullptr);
  EXPECT_STREQ(gptqc_context_target(nullptr), "");
  gptqc_context_free(nullptr);
}

TEST_F(CApiLinearTest, TensorMistakes) {
  const gptqc::context context(options);
  const auto broken = [&](const std::function<void(gptqc_tensors &)> &change,
                          const std::string &says) {
    gptqc_tensors tensors = plain.tensors;
    change(tensors);
    refused(create(context.get(), tensors), GPTQC_INVALID_ARGUMENT, says);
  };
  broken([](gptqc_tensors &t) { t.struct_size = 1; }, "struct_size is 1");
  broken([](gptqc_tensors &t) { t.bits = 1; }, "bits is 1");
  broken([](gptqc_tensors &t) { t.n = 0; }, "1 to 2^31");
  broken([](gptqc_tensors &t) { t.k = INT64_MAX; }, "1 to 2^31");
  broken([](gptqc_tensors &t) { t.k = 127; }, "whole words");
  broken([](gptqc_tensors &t) { t.n = 63; }, "whole words");
  broken([](gptqc_tensors &t) { t.groups = 3; }, "groups");
  broken([](gptqc_tensors &t) { t.groups = 1 << 20; }, "groups");
  broken([](gptqc_tensors &t) { t.group_size = 0; }, "group size");
  broken([](gptqc_tensors &t) { t.qweight = nullptr; }, "must not be NULL");
  broken([](gptqc_tensors &t) { t.scales = nullptr; }, "must not be NULL");
  broken([](gptqc_tensors &t) { t.packing = 2; }, "packing is 2");
  broken([](gptqc_tensors &t) { t.zeros_form = -1; }, "zeros_form is -1");
  broken([](gptqc_tensors &t) { t.act = 5; }, "act is 5");
  const std::vector<int32_t> outside(128, 2);
  broken([&](gptqc_tensors &t) { t.g_idx = outside.data(); }, "outside 0..1");
  gptqc_linear *linear = nullptr;
  refused(gptqc_linear_create(nullptr, &plain.tensors, 1, nullptr, nullptr, &linear),
          GPTQC_INVALID_ARGUMENT, "must not be NULL");
  refused(gptqc_linear_create(context.get(), nullptr, 1, nullptr, nullptr, &linear),
          GPTQC_INVALID_ARGUMENT, "must not be NULL");
  refused(gptqc_linear_create(context.get(), &plain.tensors, 0, nullptr, nullptr, &linear),
          GPTQC_INVALID_ARGUMENT, "a part");
  gptqc_linear_options bad = {};
  refused(create(context.get(), plain.tensors, &bad), GPTQC_INVALID_ARGUMENT, "struct_size");
  bad = gptqc::linear_options();
  bad.silu_mul = 1;
  refused(create(context.get(), plain.tensors, &bad), GPTQC_INVALID_ARGUMENT, "two parts");
  bad = gptqc::linear_options();
  bad.n_rank = 2, bad.n_ranks = 2;
  refused(create(context.get(), plain.tensors, &bad), GPTQC_INVALID_ARGUMENT, "count from 0");
}

// Random structs: an error or a layer, never a crash. Sizes stay those of the arrays.
TEST_F(CApiLinearTest, RandomTensorsAreAnErrorOrALayer) {
  const gptqc::context context(options);
  std::mt19937 random(11);
  int made = 0;
  for (int i = 0; i < 2000; ++i) {
    gptqc_tensors t = plain.tensors;
    const auto pick = [&](std::initializer_list<int64_t> values) {
      return *(values.begin() + random() % values.size());
    };
    t.bits = int32_t(pick({4, 4, 2, 3, 0, -1}));
    t.n = pick({64, 64, 32, 8, 0, -64, INT64_MIN});
    t.k = pick({128, 128, 64, 96, 1, -1});
    t.group_size = pick({64, 64, 128, 32, -1, -2, 0, INT64_MAX});
    t.groups = pick({2, 2, 1, 0, -1});
    t.packing = int32_t(pick({0, 0, 1, 9}));
    t.out = int32_t(pick({0, 0, 1, -1}));
    if (random() % 4 == 0)
      t.qzeros = nullptr;
    gptqc_error *error = create(context.get(), t);
    if (error)
      EXPECT_STRNE(gptqc_error_message(error), "");
    else
      ++made;
    gptqc_error_free(error);
  }
  EXPECT_GT(made, 10);
}

TEST_F(CApiLinearTest, CompilersThatFail) {
  const gptqc::context context(options);
  compiler.failure = GPTQC_COMPILE_FAILED;
  refused(create(context.get(), plain.tensors), GPTQC_COMPILE_FAILED, "the compiler refuses");
  compiler.failure = 0;
  compiler.damaged = true;
  refused(create(context.get(), plain.tensors), GPTQC_DATA_CORRUPT, "SHA-256");
  compiler.damaged = false;
  compiler.empty = true;
  refused(create(context.get(), plain.tensors), GPTQC_COMPILE_FAILED, "no image");
  compiler.empty = false;
  EXPECT_EQ(create(context.get(), plain.tensors), nullptr);
  options.compiler = nullptr;
  refused(create(gptqc::context(options).get(), plain.tensors), GPTQC_NOT_FOUND,
          "no compiler was given");
}

TEST_F(CApiLinearTest, RunMistakes) {
  options.no_jit = true;
  const gptqc::context context(options);
  const gptqc::linear linear(context, {plain.tensors});
  const auto run = [&](uint64_t x, int64_t ldx, int64_t m, uint64_t y, int64_t ldy,
                       int64_t bytes = 0) {
    return gptqc_linear_run(linear.get(), x, ldx, m, y, ldy, 0, bytes, nullptr);
  };
  refused(run(4096, 128, 1, 8192, 64), GPTQC_NOT_FOUND, "not prepared");
  int64_t bytes = -1;
  refused(gptqc_linear_workspace(linear.get(), 4, 1, &bytes), GPTQC_NOT_FOUND, "not prepared");
  linear.prepare(1, 4);
  EXPECT_EQ(run(4096, 128, 4, 8192, 64), nullptr);
  refused(run(0, 128, 1, 8192, 64), GPTQC_INVALID_ARGUMENT, "null");
  refused(run(4096, 128, 1, 0, 64), GPTQC_INVALID_ARGUMENT, "null");
  refused(run(4096, 127, 2, 8192, 64), GPTQC_INVALID_ARGUMENT, "row strides");
  refused(run(4096, 128, 2, 8192, 63), GPTQC_INVALID_ARGUMENT, "row strides");
  refused(run(4096, 129, 2, 8192, 64), GPTQC_INVALID_ARGUMENT, "not aligned");
  refused(run(4097, 128, 1, 8192, 64), GPTQC_INVALID_ARGUMENT, "not aligned");
  refused(run(4096, 128, -1, 8192, 64), GPTQC_INVALID_ARGUMENT, "-1 tokens");
  refused(run(4096, 128, 1, 8192, 64, -5), GPTQC_INVALID_ARGUMENT, "workspace_bytes is -5");
  refused(gptqc_linear_run(nullptr, 0, 0, 0, 0, 0, 0, 0, nullptr), GPTQC_INVALID_ARGUMENT, "NULL");
  refused(gptqc_linear_workspace(nullptr, 1, 1, &bytes), GPTQC_INVALID_ARGUMENT, "NULL");
  refused(gptqc_linear_workspace(linear.get(), 1, 1, nullptr), GPTQC_INVALID_ARGUMENT, "NULL");
  refused(gptqc_linear_workspace(linear.get(), -1, 1, &bytes), GPTQC_INVALID_ARGUMENT, "tokens");
  gptqc_linear *none = nullptr;
  refused(gptqc_prepare(&none, 1, 1, 1), GPTQC_INVALID_ARGUMENT, "linears[0]");
  refused(gptqc_prepare(nullptr, 1, 1, 1), GPTQC_INVALID_ARGUMENT, "NULL");
  refused(gptqc_prepare(nullptr, 0, 0, 1), GPTQC_INVALID_ARGUMENT, "range");
  refused(gptqc_workspace_init(nullptr, 0, 0, nullptr), GPTQC_INVALID_ARGUMENT, "NULL");
  refused(gptqc_workspace_init(context.get(), 0, 16, nullptr), GPTQC_INVALID_ARGUMENT, "null");
  EXPECT_EQ(gptqc_linear_input_columns(nullptr, nullptr, 0), 0);
  EXPECT_STREQ(gptqc_linear_descriptor(nullptr), "");
  EXPECT_EQ(gptqc_linear_bytes(nullptr), 0);
  gptqc_linear_free(nullptr);
}

TEST_F(CApiLinearTest, ErrorsAndFeatures) {
  EXPECT_EQ(gptqc_error_create(0, "x"), nullptr);
  refused(gptqc_error_create(99, "text"), GPTQC_INTERNAL, "text");
  refused(gptqc_error_create(GPTQC_UNSUPPORTED, nullptr), GPTQC_UNSUPPORTED, "");
  EXPECT_EQ(gptqc_abi(), GPTQC_ABI);
  EXPECT_EQ(gptqc_has_feature("packs"), 1);
  EXPECT_EQ(gptqc_has_feature("teleport"), 0);
  EXPECT_EQ(gptqc_has_feature(nullptr), 0);
}

TEST_F(CApiLinearTest, LogLinesReachTheCallback) {
  std::vector<std::string> lines;
  options.log_topics = "dispatch,cache";
  options.log_user = &lines;
  options.log = [](void *user, const char *line) {
    static_cast<std::vector<std::string> *>(user)->emplace_back(line);
  };
  options.use_cache = true;
  options.cache = testing::TempDir() + "gptqc-no-cache-here";
  const gptqc::context context(options);
  EXPECT_EQ(create(context.get(), plain.tensors), nullptr);
  for (const std::string &line : lines) // a build with local changes asks no cache
    EXPECT_NE(line.find("support/repack.cu"), std::string::npos) << line;
}

} // namespace
