// Where libnvrtc may be. The order is documented in compiler/jit/README.md.
#include "compiler/jit/NvrtcLibrary.h"

#include <algorithm>
#include <cstdlib>
#include <system_error>

#include <dlfcn.h>

namespace gptqc {
namespace {

namespace fs = std::filesystem;

constexpr int kMajors[] = {13, 12};

fs::path environmentPath(const char *name) {
  const char *value = std::getenv(name);
  return value ? fs::path(value) : fs::path();
}

/// The folders directly under `folder` whose names begin with `prefix`, sorted; none when it cannot
/// be read.
std::vector<fs::path> subfolders(const fs::path &folder, std::string_view prefix) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    if (it->path().filename().string().starts_with(prefix))
      found.push_back(it->path());
  std::sort(found.begin(), found.end());
  return found;
}

class Search {
public:
  Search(std::vector<NvrtcCandidate> &found, std::vector<std::string> &searched)
      : found(found), searched(searched) {}

  /// libnvrtc.so.<major> in the folder itself.
  void folder(const fs::path &path) {
    for (const int major : kMajors) {
      const fs::path file = path / fmt::format("libnvrtc.so.{}", major);
      std::error_code error;
      if (fs::exists(file, error))
        found.push_back({file.string(), major});
    }
  }

  /// A toolkit, a folder of wheels, or a plain folder of libraries.
  void root(const fs::path &path) {
    if (path.empty())
      return;
    searched.push_back(path.string());
    for (const char *sub : {"", "lib64", "lib", "targets/x86_64-linux/lib"})
      folder(path / sub);
    wheels(path);
  }

  /// site-packages: nvidia/cu13/lib (CUDA 13), nvidia/cuda_nvrtc/lib (CUDA 12).
  void wheels(const fs::path &sitePackages) {
    for (const fs::path &package : subfolders(sitePackages / "nvidia", "cu"))
      folder(package / "lib");
  }

  void pythons(const fs::path &prefix) {
    if (prefix.empty())
      return;
    searched.push_back((prefix / "lib/python3*").string());
    for (const fs::path &python : subfolders(prefix / "lib", "python3"))
      for (const char *packages : {"site-packages", "dist-packages"})
        wheels(python / packages);
  }

private:
  std::vector<NvrtcCandidate> &found;
  std::vector<std::string> &searched;
};

/// A project's own copy lies in .deps/nvrtc beside the build folder that holds the program.
void searchProject(Search &search) {
  std::error_code error;
  fs::path folder = fs::read_symlink("/proc/self/exe", error).parent_path();
  for (int level = 0; level < 4 && folder.has_relative_path(); ++level) {
    if (fs::exists(folder / ".deps" / "nvrtc", error))
      search.root(folder / ".deps" / "nvrtc");
    folder = folder.parent_path();
  }
}

void searchAll(const NvrtcSearch &options, Search &search, std::vector<NvrtcCandidate> &found,
               std::vector<std::string> &searched) {
  for (const fs::path &folder : options.folders)
    search.root(folder);
  searchProject(search);
  for (const char *variable : {"CUDA_HOME", "CUDA_PATH"})
    search.root(environmentPath(variable));
  searched.push_back("the loader path");
  for (const int major : kMajors)
    found.push_back({fmt::format("libnvrtc.so.{}", major), major});
  for (const fs::path &toolkit : subfolders("/usr/local", "cuda"))
    search.root(toolkit);
  for (const char *variable : {"VIRTUAL_ENV", "CONDA_PREFIX"})
    search.pythons(environmentPath(variable));
  if (const fs::path home = environmentPath("HOME"); !home.empty())
    search.pythons(home / ".local");
  search.pythons("/usr/local");
  search.pythons("/usr");
}

} // namespace

std::vector<NvrtcCandidate> nvrtcCandidates(const NvrtcSearch &options, int driverMajor,
                                            std::vector<std::string> &searched) {
  std::vector<NvrtcCandidate> found;
  Search search(found, searched);
  const fs::path given =
      options.path.empty() ? environmentPath("GPTQC_NVRTC") : fs::path(options.path);
  std::error_code error;
  if (!given.empty() && !fs::is_directory(given, error)) {
    searched.push_back(given.string());
    return {{given.string(), 0}};
  }
  if (!given.empty())
    search.root(given);
  else
    searchAll(options, search, found, searched);
  const auto tooNew = [&](const NvrtcCandidate &c) {
    return driverMajor > 0 && c.major > driverMajor;
  };
  std::stable_sort(found.begin(), found.end(), [&](const auto &a, const auto &b) {
    if (tooNew(a) != tooNew(b))
      return tooNew(b);
    return tooNew(a) ? a.major < b.major : a.major > b.major;
  });
  return found;
}

int installedDriverMajor() {
  void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!library)
    return 0;
  using GetVersion = int (*)(int *);
  const auto getVersion = reinterpret_cast<GetVersion>(dlsym(library, "cuDriverGetVersion"));
  int version = 0;
  if (!getVersion || getVersion(&version) != 0)
    return 0;
  return version / 1000;
}

} // namespace gptqc
