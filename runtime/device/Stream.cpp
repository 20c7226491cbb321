// Streams, events and captured graphs.
#include "runtime/device/Stream.h"

#include <utility>

namespace gptqc {
namespace {

constexpr unsigned kNonBlocking = 1;   // CU_STREAM_NON_BLOCKING
constexpr int kCaptureThreadLocal = 1; // CU_STREAM_CAPTURE_MODE_THREAD_LOCAL

} // namespace

Result<Stream> Stream::create(const Device &device) {
  const ContextScope scope(device);
  CuStream stream = nullptr;
  GPTQC_TRY(device.check(device.api().cuStreamCreate(&stream, kNonBlocking), "cuStreamCreate"));
  return Stream(device, stream, true);
}

Stream Stream::borrow(const Device &device, CuStream stream) {
  return Stream(device, stream, false);
}

Stream::Stream(Stream &&other) noexcept
    : owner(std::move(other.owner)), stream(std::exchange(other.stream, nullptr)),
      owned(std::exchange(other.owned, false)) {}

Stream &Stream::operator=(Stream &&other) noexcept {
  std::swap(owner, other.owner);
  std::swap(stream, other.stream);
  std::swap(owned, other.owned);
  return *this;
}

Stream::~Stream() {
  if (!owned)
    return;
  const ContextScope scope(owner);
  (void)owner.api().cuStreamDestroy_v2(stream);
}

Status Stream::synchronize() const {
  const ContextScope scope(owner);
  return owner.check(owner.api().cuStreamSynchronize(stream), "work on the GPU");
}

Result<Event> Event::create(const Device &device) {
  const ContextScope scope(device);
  CuEvent event = nullptr;
  GPTQC_TRY(device.check(device.api().cuEventCreate(&event, 0), "cuEventCreate"));
  return Event(device, event);
}

Event::Event(Event &&other) noexcept
    : owner(std::move(other.owner)), event(std::exchange(other.event, nullptr)) {}

Event &Event::operator=(Event &&other) noexcept {
  std::swap(owner, other.owner);
  std::swap(event, other.event);
  return *this;
}

Event::~Event() {
  if (!event)
    return;
  const ContextScope scope(owner);
  (void)owner.api().cuEventDestroy_v2(event);
}

Status Event::record(const Stream &stream) {
  const ContextScope scope(owner);
  return owner.check(owner.api().cuEventRecord(event, stream.handle()), "cuEventRecord");
}

Status Event::synchronize() const {
  const ContextScope scope(owner);
  return owner.check(owner.api().cuEventSynchronize(event), "work on the GPU");
}

Result<float> Event::millisecondsSince(const Event &start) const {
  const ContextScope scope(owner);
  float milliseconds = 0;
  GPTQC_TRY(owner.check(owner.api().cuEventElapsedTime(&milliseconds, start.event, event),
                        "cuEventElapsedTime"));
  return milliseconds;
}

Result<Graph> Graph::capture(const Stream &stream, const std::function<Status()> &record) {
  const Device &device = stream.device();
  const DriverApi &api = device.api();
  const ContextScope scope(device);
  GPTQC_TRY(device.check(api.cuStreamBeginCapture_v2(stream.handle(), kCaptureThreadLocal),
                         "cuStreamBeginCapture"));
  const Status recorded = record();
  CuGraph captured = nullptr;
  const CuResult ended = api.cuStreamEndCapture(stream.handle(), &captured);
  CuGraphExec executable = nullptr;
  Status status = recorded.ok() ? device.check(ended, "cuStreamEndCapture") : recorded;
  if (status.ok())
    status = device.check(api.cuGraphInstantiateWithFlags(&executable, captured, 0),
                          "cuGraphInstantiate");
  if (captured)
    (void)api.cuGraphDestroy(captured);
  GPTQC_TRY(status);
  return Graph(device, executable);
}

Graph::Graph(Graph &&other) noexcept
    : owner(std::move(other.owner)), graph(std::exchange(other.graph, nullptr)) {}

Graph &Graph::operator=(Graph &&other) noexcept {
  std::swap(owner, other.owner);
  std::swap(graph, other.graph);
  return *this;
}

Graph::~Graph() {
  if (!graph)
    return;
  const ContextScope scope(owner);
  (void)owner.api().cuGraphExecDestroy(graph);
}

Status Graph::launch(const Stream &stream) const {
  const ContextScope scope(owner);
  return owner.check(owner.api().cuGraphLaunch(graph, stream.handle()), "cuGraphLaunch");
}

} // namespace gptqc
