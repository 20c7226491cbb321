// Symbol lookup, and CUresult to Status.
#include "runtime/device/DriverApi.h"

#include <dlfcn.h>

namespace gptqc {
namespace {

constexpr int kMinimumVersion = 12000;
constexpr CuResult kOutOfMemory = 2, kStubLibrary = 34, kNoDevice = 100, kMismatch = 803,
                   kLaunchOutOfResources = 701;

std::string versionText(int version) {
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

Status tooOld(int version, std::string_view detail) {
  return makeError(
      Code::DeviceError,
      "the NVIDIA driver is too old: it supports CUDA {}{}; CUDA 12.0 is needed, update "
      "the driver to 525 or later",
      version > 0 ? versionText(version) : "of unknown version", detail);
}

/// Fills the table; the name of the first symbol that is missing, or null.
const char *resolve(void *library, DriverApi &api) {
#define X(name, parameters)                                                                        \
  api.name = reinterpret_cast<CuResult(*) parameters>(dlsym(library, #name));                      \
  if (!api.name)                                                                                   \
    return #name;
#include "runtime/device/DriverApi.def"
#undef X
  return nullptr;
}

} // namespace

Result<std::shared_ptr<const DriverApi>> DriverApi::load(const std::string &library) {
  void *handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle) {
    // dlerror is worth showing only when the file is there and something else is wrong.
    const std::string reason = dlerror();
    const bool absent = reason.find("No such file") != std::string::npos;
    return makeError(Code::DeviceError, "no CUDA driver found ({}){}{}; install the NVIDIA driver",
                     library, absent ? "" : ": ", absent ? "" : reason);
  }
  auto api = std::make_shared<DriverApi>();
  const char *missing = resolve(handle, *api);
  if (api->cuDriverGetVersion)
    (void)api->cuDriverGetVersion(&api->version);
  if (missing)
    return tooOld(api->version, fmt::format(" and has no {}", missing));
  if (api->version > 0 && api->version < kMinimumVersion)
    return tooOld(api->version, "");
  const CuResult result = api->cuInit(0);
  if (result == kNoDevice)
    return makeError(Code::DeviceError, "the CUDA driver finds no GPU; check nvidia-smi and "
                                        "CUDA_VISIBLE_DEVICES");
  if (result == kStubLibrary)
    return makeError(Code::DeviceError,
                     "{} is the CUDA toolkit's stub, not a driver; take its folder out of "
                     "LD_LIBRARY_PATH",
                     library);
  if (result == kMismatch)
    return makeError(Code::DeviceError, "the NVIDIA kernel module and libcuda have different "
                                        "versions; reboot or reinstall the driver");
  GPTQC_TRY(api->check(result, "cuInit"));
  return std::shared_ptr<const DriverApi>(std::move(api));
}

Status DriverApi::check(CuResult result, std::string_view action) const {
  if (result == 0)
    return Status();
  const char *name = nullptr, *text = nullptr;
  if (cuGetErrorName(result, &name) != 0 || !name)
    name = "unknown error";
  if (cuGetErrorString(result, &text) != 0 || !text)
    text = "";
  // A launch that the device has not the registers or shared memory for leaves it usable.
  const Code code = result == kLaunchOutOfResources ? Code::Unsupported : Code::DeviceError;
  return makeError(code, "{}: {} ({}){}{}{}", action, name, result, *text ? ": " : "", text,
                   result == kOutOfMemory ? "; free device memory or use a smaller size" : "");
}

} // namespace gptqc
