// Opening a GPU and asking for its facts.
#include "runtime/device/Device.h"

#include <cctype>
#include <vector>

namespace gptqc {
namespace {

// Values of CUdevice_attribute.
enum Attribute {
  MultiprocessorCount = 16,
  MemoryClockKilohertz = 36,
  MemoryBusBits = 37,
  L2Bytes = 38,
  CapabilityMajor = 75,
  CapabilityMinor = 76,
  MaxSharedOptIn = 97,
};

bool isOneOf(std::string_view word, std::initializer_list<std::string_view> words) {
  for (const std::string_view other : words)
    if (word == other)
      return true;
  return false;
}

/// What we compile for on this GPU: the nearest architecture that Target knows and that runs here.
Result<Target> targetFor(int capability, std::string_view fullName, int smCount) {
  std::string arch;
  switch (capability) {
  case 90:
    arch = "sm_90a";
    break;
  case 87: // Orin runs sm_80 and sm_86 code
    arch = "sm_86";
    break;
  case 103: // B300
    arch = "sm_100";
    break;
  case 121: // GB10
    arch = "sm_120";
    break;
  default:
    arch = fmt::format("sm_{}", capability);
  }
  Result<Target> target = Target::parse(arch);
  if (!target.ok())
    return makeError(Code::Unsupported,
                     "{} has compute capability {}.{}; kernels exist for 7.5, 8.x, 9.0, 10.0, "
                     "10.3, 12.0 and 12.1",
                     fullName, capability / 10, capability % 10);
  target->name = shortDeviceName(fullName);
  target->smCount = smCount;
  return target;
}

} // namespace

struct Device::State {
  std::shared_ptr<const DriverApi> driver;
  CuDevice device = 0;
  CuContext context = nullptr;
  DeviceInfo info;

  State() = default;
  State(const State &) = delete;
  State &operator=(const State &) = delete;
  ~State() {
    if (context)
      (void)driver->cuDevicePrimaryCtxRelease_v2(device);
  }

  Status query();
};

std::string shortDeviceName(std::string_view fullName) {
  std::vector<std::string> words(1);
  for (const char c : fullName) {
    if (c == ' ' || c == '-')
      words.emplace_back();
    else if (std::isalnum(static_cast<unsigned char>(c)))
      words.back() += char(std::tolower(static_cast<unsigned char>(c)));
  }
  std::string name;
  bool hasDigit = false;
  for (const std::string &word : words) {
    if (word.empty() || isOneOf(word, {"nvidia", "geforce", "tesla", "quadro", "graphics"}))
      continue;
    // The model ends at its first word with a digit; only these say which of several models it is.
    if (hasDigit && !isOneOf(word, {"ti", "super", "nvl"}))
      break;
    name += word;
    hasDigit = hasDigit || word.find_first_of("0123456789") != std::string::npos;
  }
  return name;
}

Status Device::State::query() {
  const DriverApi &api = *driver;
  char name[256] = {};
  GPTQC_TRY(api.check(api.cuDeviceGetName(name, int(sizeof name) - 1, device), "cuDeviceGetName"));
  info.fullName = name;
  const auto attribute = [&](Attribute which, int &value) {
    return api.check(api.cuDeviceGetAttribute(&value, int(which), device), "cuDeviceGetAttribute");
  };
  int major = 0, minor = 0, sms = 0, l2 = 0, shared = 0;
  GPTQC_TRY(attribute(CapabilityMajor, major));
  GPTQC_TRY(attribute(CapabilityMinor, minor));
  GPTQC_TRY(attribute(MultiprocessorCount, sms));
  GPTQC_TRY(attribute(L2Bytes, l2));
  GPTQC_TRY(attribute(MaxSharedOptIn, shared));
  int clock = 0, bus = 0; // newer drivers may report 0 here
  (void)api.cuDeviceGetAttribute(&clock, MemoryClockKilohertz, device);
  (void)api.cuDeviceGetAttribute(&bus, MemoryBusBits, device);
  size_t bytes = 0;
  GPTQC_TRY(api.check(api.cuDeviceTotalMem_v2(&bytes, device), "cuDeviceTotalMem"));
  info.memoryBytes = int64_t(bytes);
  info.l2Bytes = l2;
  info.maxSharedBytes = shared;
  info.memoryBandwidth = 2.0 * clock * 1000 * bus / 8; // two transfers per clock
  info.driverVersion = api.version;
  GPTQC_ASSIGN(info.target, targetFor(major * 10 + minor, info.fullName, sms));
  return Status();
}

Result<int> Device::count(const std::shared_ptr<const DriverApi> &driver) {
  int count = 0;
  GPTQC_TRY(driver->check(driver->cuDeviceGetCount(&count), "cuDeviceGetCount"));
  return count;
}

Result<int> Device::count() {
  GPTQC_ASSIGN(const auto driver, DriverApi::load());
  return count(driver);
}

Result<Device> Device::open(std::shared_ptr<const DriverApi> driver, int ordinal) {
  GPTQC_ASSIGN(const int devices, count(driver));
  if (ordinal < 0 || ordinal >= devices)
    return invalidArgument("GPU {}: CUDA shows {} here, counted from 0", ordinal, devices);
  auto state = std::make_shared<State>();
  state->driver = std::move(driver);
  const DriverApi &api = *state->driver;
  GPTQC_TRY(api.check(api.cuDeviceGet(&state->device, ordinal), "cuDeviceGet"));
  state->info.ordinal = ordinal;
  GPTQC_TRY(state->query());
  CuContext context = nullptr;
  GPTQC_TRY(api.check(api.cuDevicePrimaryCtxRetain(&context, state->device),
                      fmt::format("GPU {} ({})", ordinal, state->info.fullName)));
  state->context = context;
  Device device;
  device.state = std::move(state);
  return device;
}

Result<Device> Device::open(int ordinal) {
  GPTQC_ASSIGN(auto driver, DriverApi::load());
  return open(std::move(driver), ordinal);
}

const DeviceInfo &Device::info() const { return state->info; }
const DriverApi &Device::api() const { return *state->driver; }

Result<int64_t> Device::freeBytes() const {
  const ContextScope scope(*this);
  size_t available = 0, total = 0;
  GPTQC_TRY(check(api().cuMemGetInfo_v2(&available, &total), "cuMemGetInfo"));
  return int64_t(available);
}

Status Device::synchronize() const {
  const ContextScope scope(*this);
  return check(api().cuCtxSynchronize(), "cuCtxSynchronize");
}

Status Device::startProfiler() const {
  const ContextScope scope(*this);
  GPTQC_TRY(synchronize());
  return check(api().cuProfilerStart(), "cuProfilerStart");
}

Status Device::stopProfiler() const {
  const ContextScope scope(*this);
  GPTQC_TRY(synchronize());
  return check(api().cuProfilerStop(), "cuProfilerStop");
}

// A failed switch leaves the old context, and the call that follows reports its own error.
ContextScope::ContextScope(const Device &device) : device(device) {
  if (device.api().cuCtxGetCurrent(&previous) == 0 && previous == device.state->context)
    return;
  changed = device.api().cuCtxSetCurrent(device.state->context) == 0;
}

ContextScope::~ContextScope() {
  if (changed)
    (void)device.api().cuCtxSetCurrent(previous);
}

} // namespace gptqc
