//! The messages of Perfetto's trace format that are written here, and those of their fields.

use prost::Message;

/// `perfetto.protos.Trace`.
#[derive(Clone, PartialEq, Message)]
pub struct Trace {
    /// The packets, in any order.
    #[prost(message, repeated, tag = "1")]
    pub packet: Vec<Packet>,
}

/// `perfetto.protos.TracePacket`.
#[derive(Clone, PartialEq, Message)]
pub struct Packet {
    /// Times of several clocks.
    #[prost(message, optional, tag = "6")]
    pub clock_snapshot: Option<ClockSnapshot>,
    /// Nanoseconds.
    #[prost(uint64, optional, tag = "8")]
    pub timestamp: Option<u64>,
    /// The sequence that the packet belongs to.
    #[prost(uint32, optional, tag = "10")]
    pub sequence: Option<u32>,
    /// An event.
    #[prost(message, optional, tag = "11")]
    pub track_event: Option<TrackEvent>,
    /// Names that this packet and later ones of the sequence use.
    #[prost(message, optional, tag = "12")]
    pub interned_data: Option<InternedData>,
    /// [`STATE_CLEARED`], [`NEEDS_STATE`].
    #[prost(uint32, optional, tag = "13")]
    pub sequence_flags: Option<u32>,
    /// A track.
    #[prost(message, optional, tag = "60")]
    pub track_descriptor: Option<TrackDescriptor>,
}

/// The sequence has no names yet.
pub const STATE_CLEARED: u32 = 1;
/// The packet uses names of earlier ones.
pub const NEEDS_STATE: u32 = 2;

/// `perfetto.protos.ClockSnapshot`.
#[derive(Clone, PartialEq, Message)]
pub struct ClockSnapshot {
    /// The clocks.
    #[prost(message, repeated, tag = "1")]
    pub clocks: Vec<Clock>,
}

/// `perfetto.protos.ClockSnapshot.Clock`.
#[derive(Clone, PartialEq, Message)]
pub struct Clock {
    /// [`REALTIME`], [`MONOTONIC`], [`BOOTTIME`].
    #[prost(uint32, optional, tag = "1")]
    pub clock_id: Option<u32>,
    /// Nanoseconds.
    #[prost(uint64, optional, tag = "2")]
    pub timestamp: Option<u64>,
}

/// CLOCK_REALTIME.
pub const REALTIME: u32 = 1;
/// CLOCK_MONOTONIC.
pub const MONOTONIC: u32 = 3;
/// CLOCK_BOOTTIME, the clock of the packets' times.
pub const BOOTTIME: u32 = 6;

/// `perfetto.protos.TrackDescriptor`.
#[derive(Clone, PartialEq, Message)]
pub struct TrackDescriptor {
    /// Number of the track.
    #[prost(uint64, optional, tag = "1")]
    pub uuid: Option<u64>,
    /// Name.
    #[prost(string, optional, tag = "2")]
    pub name: Option<String>,
    /// It is a process's.
    #[prost(message, optional, tag = "3")]
    pub process: Option<ProcessDescriptor>,
    /// It is a thread's.
    #[prost(message, optional, tag = "4")]
    pub thread: Option<ThreadDescriptor>,
    /// The track that it is below.
    #[prost(uint64, optional, tag = "5")]
    pub parent_uuid: Option<u64>,
    /// It has numbers.
    #[prost(message, optional, tag = "8")]
    pub counter: Option<CounterDescriptor>,
}

/// `perfetto.protos.ProcessDescriptor`.
#[derive(Clone, PartialEq, Message)]
pub struct ProcessDescriptor {
    /// The process.
    #[prost(int32, optional, tag = "1")]
    pub pid: Option<i32>,
    /// Name.
    #[prost(string, optional, tag = "6")]
    pub process_name: Option<String>,
}

/// `perfetto.protos.ThreadDescriptor`.
#[derive(Clone, PartialEq, Message)]
pub struct ThreadDescriptor {
    /// The process.
    #[prost(int32, optional, tag = "1")]
    pub pid: Option<i32>,
    /// The thread.
    #[prost(int32, optional, tag = "2")]
    pub tid: Option<i32>,
}

/// `perfetto.protos.CounterDescriptor`.
#[derive(Clone, PartialEq, Message)]
pub struct CounterDescriptor {
    /// Unit of the numbers.
    #[prost(string, optional, tag = "6")]
    pub unit_name: Option<String>,
}

/// `perfetto.protos.TrackEvent`.
#[derive(Clone, PartialEq, Message)]
pub struct TrackEvent {
    /// Arguments.
    #[prost(message, repeated, tag = "4")]
    pub debug_annotations: Vec<Annotation>,
    /// The [`Kind`].
    #[prost(enumeration = "Kind", optional, tag = "9")]
    pub kind: Option<i32>,
    /// Name, among those of [`InternedData`].
    #[prost(uint64, optional, tag = "10")]
    pub name_iid: Option<u64>,
    /// The track that it is on.
    #[prost(uint64, optional, tag = "11")]
    pub track_uuid: Option<u64>,
    /// Number of a counter.
    #[prost(int64, optional, tag = "30")]
    pub counter_value: Option<i64>,
    /// Code, among that of [`InternedData`].
    #[prost(uint64, optional, tag = "34")]
    pub source_location_iid: Option<u64>,
    /// Flows that begin here or pass.
    #[prost(fixed64, repeated, packed = "false", tag = "47")]
    pub flow_ids: Vec<u64>,
    /// Flows that end here.
    #[prost(fixed64, repeated, packed = "false", tag = "48")]
    pub terminating_flow_ids: Vec<u64>,
}

/// `perfetto.protos.TrackEvent.Type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum Kind {
    /// A slice begins.
    Begin = 1,
    /// The slice that began last on the track ends.
    End = 2,
    /// Something without a duration.
    Instant = 3,
    /// A number.
    Counter = 4,
}

/// `perfetto.protos.DebugAnnotation`.
#[derive(Clone, PartialEq, Message)]
pub struct Annotation {
    /// Name, among those of [`InternedData`].
    #[prost(uint64, optional, tag = "1")]
    pub name_iid: Option<u64>,
    /// The value.
    #[prost(oneof = "Value", tags = "2, 3, 4, 6, 7")]
    pub value: Option<Value>,
}

/// Value of an annotation.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Value {
    /// Yes or no.
    #[prost(bool, tag = "2")]
    Bool(bool),
    /// A number.
    #[prost(uint64, tag = "3")]
    Uint(u64),
    /// A number with a sign.
    #[prost(int64, tag = "4")]
    Int(i64),
    /// A text.
    #[prost(string, tag = "6")]
    Text(String),
    /// An address, shown in hexadecimal.
    #[prost(uint64, tag = "7")]
    Pointer(u64),
}

/// `perfetto.protos.InternedData`.
#[derive(Clone, PartialEq, Message)]
pub struct InternedData {
    /// Names of events.
    #[prost(message, repeated, tag = "2")]
    pub event_names: Vec<Name>,
    /// Names of annotations.
    #[prost(message, repeated, tag = "3")]
    pub annotation_names: Vec<Name>,
    /// Code.
    #[prost(message, repeated, tag = "4")]
    pub source_locations: Vec<SourceLocation>,
}

/// `perfetto.protos.EventName`, `perfetto.protos.DebugAnnotationName`.
#[derive(Clone, PartialEq, Message)]
pub struct Name {
    /// Number.
    #[prost(uint64, optional, tag = "1")]
    pub iid: Option<u64>,
    /// The name.
    #[prost(string, optional, tag = "2")]
    pub name: Option<String>,
}

/// `perfetto.protos.SourceLocation`.
#[derive(Clone, PartialEq, Message)]
pub struct SourceLocation {
    /// Number.
    #[prost(uint64, optional, tag = "1")]
    pub iid: Option<u64>,
    /// Source file, or the program's if it has no lines.
    #[prost(string, optional, tag = "2")]
    pub file_name: Option<String>,
    /// Function.
    #[prost(string, optional, tag = "3")]
    pub function_name: Option<String>,
    /// Line.
    #[prost(uint32, optional, tag = "4")]
    pub line_number: Option<u32>,
}
