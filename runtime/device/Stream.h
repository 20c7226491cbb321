// Stream, Event and Graph: order, time and replay of work on a device.
#ifndef GPTQC_RUNTIME_DEVICE_STREAM_H
#define GPTQC_RUNTIME_DEVICE_STREAM_H

#include <functional>
#include <memory>

#include "runtime/device/Device.h"

namespace gptqc {

/// Owns a stream that does not wait for the default stream, or borrows one. Movable; one thread at
/// a time.
class Stream {
public:
  static Result<Stream> create(const Device &device);
  /// Uses a stream of the caller's, e.g. another runtime's; null is the default stream.
  static Stream borrow(const Device &device, CuStream stream);

  Stream(Stream &&other) noexcept;
  Stream &operator=(Stream &&other) noexcept;
  ~Stream();

  CuStream handle() const { return stream; }
  const Device &device() const { return owner; }
  /// Waits for all work so far; reports what failed in it.
  Status synchronize() const;

private:
  Stream(Device device, CuStream stream, bool owned)
      : owner(std::move(device)), stream(stream), owned(owned) {}

  Device owner;
  CuStream stream = nullptr;
  bool owned = false;
};

/// A point in a stream, with time. Movable.
class Event {
public:
  static Result<Event> create(const Device &device);
  Event(Event &&other) noexcept;
  Event &operator=(Event &&other) noexcept;
  ~Event();

  Status record(const Stream &stream);
  Status synchronize() const;
  /// Milliseconds from `start` to this; both must have happened (DeviceError otherwise).
  Result<float> millisecondsSince(const Event &start) const;

private:
  Event(Device device, CuEvent event) : owner(std::move(device)), event(event) {}
  Device owner;
  CuEvent event = nullptr;
};

/// Work recorded once and launched many times. Movable. What the launches use must outlive the
/// graph.
class Graph {
public:
  /// Runs `record`, whose launches on `stream` become the graph instead of running; `stream` must
  /// not be the default stream. An error of `record` is returned and the stream is usable again.
  static Result<Graph> capture(const Stream &stream, const std::function<Status()> &record);
  Graph(Graph &&other) noexcept;
  Graph &operator=(Graph &&other) noexcept;
  ~Graph();

  Status launch(const Stream &stream) const;

private:
  Graph(Device device, CuGraphExec graph) : owner(std::move(device)), graph(graph) {}
  Device owner;
  CuGraphExec graph = nullptr;
};

} // namespace gptqc

#endif // GPTQC_RUNTIME_DEVICE_STREAM_H
