// The search order: toolkit by environment, the loader's path, the usual folder, Python wheels.
#include "runtime/device/CudaLibrary.h"

#include <cstdlib>
#include <dlfcn.h>
#include <filesystem>
#include <vector>

namespace gptqc {
namespace {

/// nvidia/<package>/lib below the folders where Python keeps packages.
void addWheelFolders(std::vector<std::string> &folders) {
  namespace fs = std::filesystem;
  std::vector<fs::path> roots;
  if (const char *environment = std::getenv("VIRTUAL_ENV"))
    roots.push_back(fs::path(environment) / "lib");
  if (const char *home = std::getenv("HOME"))
    roots.push_back(fs::path(home) / ".local/lib");
  roots.insert(roots.end(), {"/usr/local/lib", "/usr/lib"});
  std::error_code error;
  for (const fs::path &root : roots)
    for (const fs::directory_entry &python : fs::directory_iterator(root, error)) {
      if (!python.path().filename().string().starts_with("python3"))
        continue;
      for (const char *packages : {"site-packages", "dist-packages"})
        for (const fs::directory_entry &package :
             fs::directory_iterator(python.path() / packages / "nvidia", error))
          folders.push_back((package.path() / "lib").string() + "/");
    }
}

std::vector<std::string> candidates(std::span<const char *const> names) {
  std::vector<std::string> folders;
  for (const char *variable : {"CUDA_HOME", "CUDA_PATH"})
    if (const char *home = std::getenv(variable))
      folders.push_back(std::string(home) + "/lib64/");
  folders.insert(folders.end(), {"", "/usr/local/cuda/lib64/"});
  addWheelFolders(folders);
  std::vector<std::string> files;
  for (const char *name : names)
    for (const std::string &folder : folders)
      files.push_back(folder + name);
  return files;
}

} // namespace

Result<CudaLibrary> CudaLibrary::open(std::span<const char *const> names, const std::string &path,
                                      const char *remedy) {
  const std::vector<std::string> files =
      path.empty() ? candidates(names) : std::vector<std::string>{path};
  for (const std::string &file : files)
    if (void *handle = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL))
      return CudaLibrary{handle, file};
  if (!path.empty())
    return makeError(Code::NotFound, "{} not found; {}", path, remedy);
  return makeError(Code::NotFound,
                   "{} not found (in CUDA_HOME, the loader's path, /usr/local/cuda and Python "
                   "wheels); {}",
                   names.front(), remedy);
}

Status CudaLibrary::findSymbol(const char *name, const char *product, void *&address) const {
  address = dlsym(handle, name);
  if (!address)
    return makeError(Code::NotFound, "{}: no symbol {}; use {} 12 or 13", path, name, product);
  return Status();
}

} // namespace gptqc
