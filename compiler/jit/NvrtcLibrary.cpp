// dlopen of libnvrtc and of the builtins library that lies beside it.
#include "compiler/jit/NvrtcLibrary.h"

#include <system_error>

#include <dlfcn.h>

namespace gptqc {
namespace {

namespace fs = std::filesystem;

/// NVRTC opens libnvrtc-builtins by name when it compiles; it is found whatever the loader path is
/// once it is loaded. A copy that lacks it says so in its own error at the first compile.
void loadBuiltins(const fs::path &nvrtc) {
  std::error_code error;
  for (fs::directory_iterator it(nvrtc.parent_path(), error), end; !error && it != end;
       it.increment(error)) {
    if (it->path().filename().string().starts_with("libnvrtc-builtins.so."))
      (void)dlopen(it->path().c_str(), RTLD_NOW | RTLD_LOCAL);
  }
}

std::string join(const std::vector<std::string> &words) {
  std::string text;
  for (const std::string &word : words)
    text += (text.empty() ? "" : ", ") + word;
  return text;
}

} // namespace

Result<NvrtcLibrary> NvrtcLibrary::load(const std::string &file) {
  const auto failed = [&](std::string_view reason) {
    return makeError(Code::NotFound, "cannot use {}: {}", file, reason);
  };
  void *handle = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle)
    return failed(dlerror());
  NvrtcLibrary library;
  NvrtcApi &api = library.functions;
#define X(name, parameters)                                                                        \
  api.name = reinterpret_cast<int(*) parameters>(dlsym(handle, #name));                            \
  if (!api.name)                                                                                   \
    return failed("it has no " #name "; NVRTC 12 or later is needed");
#include "compiler/jit/NvrtcApi.def"
#undef X
  api.nvrtcGetErrorString =
      reinterpret_cast<const char *(*)(int)>(dlsym(handle, "nvrtcGetErrorString"));
  if (!api.nvrtcGetErrorString ||
      api.nvrtcVersion(&library.versionMajor, &library.versionMinor) != 0)
    return failed("nvrtcVersion failed");
  if (library.versionMajor < 12)
    return failed(fmt::format("NVRTC {}.{} is too old; 12 or later is needed", library.versionMajor,
                              library.versionMinor));
  int count = 0;
  if (api.nvrtcGetNumSupportedArchs(&count) != 0 || count <= 0 || count > 1000)
    return failed("nvrtcGetNumSupportedArchs failed");
  library.archs.resize(size_t(count));
  if (api.nvrtcGetSupportedArchs(library.archs.data()) != 0)
    return failed("nvrtcGetSupportedArchs failed");

  Dl_info info = {};
  library.path = file;
  if (dladdr(reinterpret_cast<void *>(api.nvrtcVersion), &info) && info.dli_fname)
    library.path = info.dli_fname;
  std::error_code error;
  if (const fs::path real = fs::canonical(library.path, error); !error)
    library.path = real;
  loadBuiltins(library.path);
  return library;
}

Result<NvrtcLibrary> NvrtcLibrary::open(const NvrtcSearch &search, const Log &log) {
  const int driver = search.driverMajor < 0 ? installedDriverMajor() : search.driverMajor;
  std::vector<std::string> searched;
  Status lastError;
  for (const NvrtcCandidate &candidate : nvrtcCandidates(search, driver, searched)) {
    Result<NvrtcLibrary> library = load(candidate.file);
    if (!library.ok()) {
      // A bare name that the loader does not know is no news; a file that is there and fails is.
      if (candidate.file.find('/') != std::string::npos)
        lastError = library.status();
      continue;
    }
    log.event(Topic::Compile, "NVRTC {}.{} from {}", library->major(), library->minor(),
              library->file().string());
    if (driver > 0 && library->major() > driver)
      log.warning(
          "NVRTC {}.{} is newer than the CUDA {} driver, which may refuse its code; install "
          "NVRTC {} or a newer driver",
          library->major(), library->minor(), driver, driver);
    return library;
  }
  return makeError(
      Code::NotFound,
      "no NVRTC (libnvrtc.so.13 or .12) in {}{}{}; install a CUDA Toolkit, or `pip install "
      "nvidia-cuda-nvrtc`, or set GPTQC_NVRTC to the library",
      join(searched), lastError.ok() ? "" : "; ", lastError.message());
}

} // namespace gptqc
