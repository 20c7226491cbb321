// Finding CUDA's math libraries (cuBLAS, cuBLASLt, cuSOLVER), which are opened with dlopen.
#ifndef GPTQC_RUNTIME_DEVICE_CUDALIBRARY_H
#define GPTQC_RUNTIME_DEVICE_CUDALIBRARY_H

#include <span>
#include <string>

#include "runtime/core/Status.h"

namespace gptqc {

/// An open library; it stays open.
struct CudaLibrary {
  void *handle = nullptr;
  std::string path;

  /// Opens `path`, or, when it is empty, the first of `names` that CUDA_HOME, the loader's path,
  /// /usr/local/cuda, or a Python wheel has. NotFound names what was tried and `remedy`.
  static Result<CudaLibrary> open(std::span<const char *const> names, const std::string &path,
                                  const char *remedy);

  /// Sets `function` to the symbol `name`. NotFound names the library and the symbol; `product` is
  /// what to use another version of.
  template <typename Function>
  Status find(const char *name, Function *&function, const char *product) const {
    void *address = nullptr;
    GPTQC_TRY(findSymbol(name, product, address));
    function = reinterpret_cast<Function *>(address);
    return Status();
  }

private:
  Status findSymbol(const char *name, const char *product, void *&address) const;
};

} // namespace gptqc

#endif // GPTQC_RUNTIME_DEVICE_CUDALIBRARY_H
