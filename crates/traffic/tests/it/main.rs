//! The proxy against real servers and real clients on the loopback interface.

mod attempts;
mod blunt;
mod kit;

mod apart;
mod bodies;
mod clients;
mod corpus;
mod edges;
mod faults;
mod framing;
mod grpc;
mod guarding;
mod handing_over;
mod heads;
mod http2;
mod in_front;
mod letting_go;
mod limits;
mod logging;
mod mirror;
mod pools;
mod routing;
mod shield;
mod shield_load;
mod slow_clients;
mod snapshots;
mod splitting;
mod swaps;
mod tls;
mod total;
mod tunnels;
