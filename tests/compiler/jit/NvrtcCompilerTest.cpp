// NVRTC in process: real compiles for every architecture family, and clear errors for all that can
// go wrong. No GPU is needed. Without NVRTC the compiles are skipped, except under CI or with
// GPTQC_REQUIRE_NVRTC set, where that is a failure.
#include "compiler/jit/NvrtcCompiler.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include <gtest/gtest.h>
#include <unistd.h>

#include "compiler/jit/NvrtcLibrary.h"
#include "runtime/core/LinearArgs.h"
#include "templates/Templates.h"

namespace gptqc {
namespace {

namespace fs = std::filesystem;

constexpr const char *kSource = R"(extern "C" __global__ void scale(float *x, float factor) {
  __shared__ float tile[64];
  tile[threadIdx.x] = x[blockIdx.x * 64 + threadIdx.x];
  __syncthreads();
  x[blockIdx.x * 64 + threadIdx.x] = tile[63 - threadIdx.x] * factor;
}
)";

NvrtcRequest requestFor(std::string_view target, std::string source = kSource) {
  NvrtcRequest request;
  request.source = std::move(source);
  request.name = "scale.cu";
  request.target = *Target::parse(target);
  return request;
}

class Nvrtc : public testing::Test {
protected:
  void SetUp() override {
    auto opened = NvrtcCompiler::open({});
    if (opened.ok()) {
      compiler = std::move(*opened);
      return;
    }
    if (std::getenv("CI") || std::getenv("GPTQC_REQUIRE_NVRTC"))
      FAIL() << opened.status().message();
    GTEST_SKIP() << opened.status().message();
  }
  std::unique_ptr<NvrtcCompiler> compiler;
};

TEST_F(Nvrtc, CompilesForEveryFamily) {
  for (const std::string_view target :
       {"sm_75", "sm_80", "sm_86", "sm_89", "sm_90a", "sm_100", "sm_120"}) {
    const auto output = compiler->compile(requestFor(target));
    ASSERT_TRUE(output.ok()) << output.status().message();
    ASSERT_GT(output->cubin.size(), 4u);
    EXPECT_EQ(std::string(output->cubin.begin() + 1, output->cubin.begin() + 4), "ELF");
    EXPECT_NE(output->ptx.find(fmt::format(".target {}", target)), std::string::npos)
        << output->ptx;
    EXPECT_GT(output->resources.registers, 0) << output->log;
    EXPECT_EQ(output->resources.spillStores, 0);
    EXPECT_GE(output->resources.staticSharedBytes, 256) << output->log;
    EXPECT_FALSE(output->spillsOrSerializes());
  }
}

TEST_F(Nvrtc, SameInputSameBytes) {
  const auto first = compiler->compile(requestFor("sm_90a"));
  const auto second = compiler->compile(requestFor("sm_90a"));
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(first->cubin, second->cubin);
  EXPECT_EQ(first->ptx, second->ptx);
}

TEST_F(Nvrtc, ThreadsCompileAtTheSameTime) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&, i] {
      const std::string source =
          fmt::format("extern \"C\" __global__ void k{}(int *x) {{ *x = {}; }}", i, i);
      const auto output = compiler->compile(requestFor("sm_80", source));
      ASSERT_TRUE(output.ok()) << output.status().message();
      ASSERT_EQ(output->entries.size(), 1u);
      EXPECT_EQ(output->entries[0].entry, fmt::format("k{}", i));
    });
  for (std::thread &thread : threads)
    thread.join();
}

TEST_F(Nvrtc, EmbeddedTemplatesCanBeIncluded) {
  for (const EmbeddedFile &file : embeddedTemplates()) {
    if (!file.name.starts_with("gptqc/args"))
      continue;
    const auto output = compiler->compile(requestFor(
        "sm_90a", fmt::format("#include \"{}\"\nextern \"C\" __global__ void k(int *size) {{ "
                              "*size = sizeof(gptqc::linear_args); }}",
                              file.name)));
    ASSERT_TRUE(output.ok()) << output.status().message();
    EXPECT_NE(output->ptx.find(fmt::format(", {};", sizeof(LinearArgs))), std::string::npos)
        << output->ptx;
    return;
  }
  FAIL() << "gptqc/args.cuh is not embedded";
}

TEST_F(Nvrtc, ErrorNamesFileAndLine) {
  std::string log;
  const auto output = compiler->compile(requestFor("sm_90a", "\nint x = undefined_name;\n"), log);
  ASSERT_FALSE(output.ok());
  EXPECT_EQ(output.status().code(), Code::CompileFailed);
  EXPECT_NE(output.status().message().find("scale.cu(2)"), std::string::npos)
      << output.status().message();
  EXPECT_EQ(output.status().message().find('\n'), std::string::npos);
  EXPECT_NE(log.find("undefined_name"), std::string::npos);
}

TEST_F(Nvrtc, MissingEntryIsAnError) {
  NvrtcRequest request = requestFor("sm_90a");
  request.entry = "other";
  const auto output = compiler->compile(request);
  ASSERT_FALSE(output.ok());
  EXPECT_NE(output.status().message().find("'other'"), std::string::npos);
}

TEST_F(Nvrtc, SpillsAreReported) {
  NvrtcRequest request = requestFor("sm_90a", R"(extern "C" __global__ void k(float *x) {
  float values[120];
  for (int i = 0; i < 120; ++i) values[i] = x[i * 32 + threadIdx.x];
  __syncthreads();
  for (int i = 0; i < 120; ++i) x[(119 - i) * 32 + threadIdx.x] = values[i] * values[(i + 60) % 120];
})");
  request.options = {"--maxrregcount=32"};
  const auto output = compiler->compile(request);
  ASSERT_TRUE(output.ok()) << output.status().message();
  EXPECT_GT(output->resources.spillStores, 0) << output->log;
  EXPECT_TRUE(output->spillsOrSerializes());
}

TEST_F(Nvrtc, BuildKeyCoversAllInputs) {
  const NvrtcRequest base = requestFor("sm_90a");
  const auto keyOf = [&](const NvrtcRequest &request) { return *compiler->buildKey(request); };
  const std::string key = keyOf(base);
  EXPECT_EQ(key.size(), 64u);
  EXPECT_EQ(key, keyOf(base));
  EXPECT_NE(key, keyOf(requestFor("sm_90")));
  EXPECT_NE(key, keyOf(requestFor("sm_90a", std::string(kSource) + " ")));
  NvrtcRequest other = base;
  other.options = {"-DX=1"};
  EXPECT_NE(key, keyOf(other));
  other = base;
  other.lineInfo = true;
  EXPECT_NE(key, keyOf(other));
  // The name and SM count of a GPU do not change the code.
  EXPECT_EQ(key, keyOf(requestFor("sm_90a h200 sms132")));
}

TEST(NvrtcSearch, AbsentLibraryNamesThePlaceAndTheRemedy) {
  NvrtcOptions options;
  options.path = "/nonexistent/libnvrtc.so.13";
  const auto compiler = NvrtcCompiler::open(options);
  ASSERT_FALSE(compiler.ok());
  EXPECT_EQ(compiler.status().code(), Code::NotFound);
  const std::string message = compiler.status().message();
  EXPECT_NE(message.find("/nonexistent/libnvrtc.so.13"), std::string::npos) << message;
  EXPECT_NE(message.find("nvidia-cuda-nvrtc"), std::string::npos) << message;
  EXPECT_EQ(message.find('\n'), std::string::npos);
}

class NvrtcFolder : public testing::Test {
protected:
  void SetUp() override {
    folder = fs::temp_directory_path() /
             fmt::format("gptqc-nvrtc-{}-{}", getpid(),
                         testing::UnitTest::GetInstance()->current_test_info()->name());
    for (const char *sub :
         {"nvidia/cu13/lib/libnvrtc.so.13", "nvidia/cuda_nvrtc/lib/libnvrtc.so.12"}) {
      fs::create_directories((folder / sub).parent_path());
      std::ofstream(folder / sub) << "no library";
    }
  }
  void TearDown() override { fs::remove_all(folder); }
  fs::path folder;
};

TEST_F(NvrtcFolder, NewestThatTheDriverTakesComesFirst) {
  NvrtcSearch search;
  search.path = folder.string();
  std::vector<std::string> searched;
  const auto majorsFor = [&](int driver) {
    std::vector<int> majors;
    for (const NvrtcCandidate &candidate : nvrtcCandidates(search, driver, searched))
      majors.push_back(candidate.major);
    return majors;
  };
  EXPECT_EQ(majorsFor(0), (std::vector<int>{13, 12}));
  EXPECT_EQ(majorsFor(13), (std::vector<int>{13, 12}));
  EXPECT_EQ(majorsFor(12), (std::vector<int>{12, 13}));
  EXPECT_EQ(majorsFor(11), (std::vector<int>{12, 13}));
}

TEST_F(NvrtcFolder, AFileThatIsNoLibraryIsNamed) {
  NvrtcOptions options;
  options.path = folder.string();
  const auto compiler = NvrtcCompiler::open(options);
  ASSERT_FALSE(compiler.ok());
  EXPECT_NE(compiler.status().message().find("libnvrtc.so.12"), std::string::npos)
      << compiler.status().message();
}

} // namespace
} // namespace gptqc
