//! Which role may call which method of the Talos API, as Talos 1.13 and newer decide it.
//!
//! Source: the rule table of `internal/app/machined` in Talos. No role contains another; a method
//! that no rule names needs `os:admin`.

const ADMIN: &str = "os:admin";
const OPERATOR: &str = "os:operator";
const READER: &str = "os:reader";
const BACKUP: &str = "os:etcd:backup";

/// Readers and up.
const READ: [&str; 32] = [
    "/cluster.ClusterService/HealthCheck",
    "/inspect.InspectService/ControllerRuntimeDependencies",
    "/machine.ImageService/List",
    "/machine.StorageService/Statfs",
    "/storage.StorageService/Disks",
    "/time.TimeService/Time",
    "/time.TimeService/TimeCheck",
    "/cosi.resource.State/Get",
    "/cosi.resource.State/List",
    "/cosi.resource.State/Watch",
    "/machine.MachineService/CPUInfo",
    "/machine.MachineService/CPUFreqStats",
    "/machine.MachineService/Containers",
    "/machine.MachineService/DiskStats",
    "/machine.MachineService/DiskUsage",
    "/machine.MachineService/Dmesg",
    "/machine.MachineService/Events",
    "/machine.MachineService/Hostname",
    "/machine.MachineService/ImageList",
    "/machine.MachineService/List",
    "/machine.MachineService/LoadAvg",
    "/machine.MachineService/Logs",
    "/machine.MachineService/LogsContainers",
    "/machine.MachineService/Memory",
    "/machine.MachineService/Mounts",
    "/machine.MachineService/NetworkDeviceStats",
    "/machine.MachineService/Netstat",
    "/machine.MachineService/Processes",
    "/machine.MachineService/ServiceList",
    "/machine.MachineService/Stats",
    "/machine.MachineService/SystemStat",
    "/machine.MachineService/Version",
];

/// Readers and up, and backup.
const ETCD_READ: [&str; 3] = [
    "/machine.MachineService/EtcdAlarmList",
    "/machine.MachineService/EtcdMemberList",
    "/machine.MachineService/EtcdStatus",
];

/// Operators and up.
const OPERATE: [&str; 11] = [
    "/machine.ImageService/Pull",
    "/machine.MachineService/EtcdAlarmDisarm",
    "/machine.MachineService/EtcdDefragment",
    "/machine.MachineService/ImagePull",
    "/machine.MachineService/PacketCapture",
    "/machine.MachineService/Reboot",
    "/machine.MachineService/Restart",
    "/machine.MachineService/ServiceRestart",
    "/machine.MachineService/ServiceStart",
    "/machine.MachineService/ServiceStop",
    "/machine.MachineService/Shutdown",
];

/// The roles that may call `method`; one of them is enough.
pub(crate) fn allowed_roles(method: &str) -> &'static [&'static str] {
    if READ.contains(&method) {
        &[ADMIN, OPERATOR, READER]
    } else if ETCD_READ.contains(&method) {
        &[ADMIN, OPERATOR, READER, BACKUP]
    } else if method == "/machine.MachineService/EtcdSnapshot" {
        &[ADMIN, OPERATOR, BACKUP]
    } else if OPERATE.contains(&method) {
        &[ADMIN, OPERATOR]
    } else if method == "/machine.ImageService/Verify" {
        &[ADMIN, OPERATOR, READER, "os:image:verifier"]
    } else if matches!(
        method,
        "/machine.MachineService/MetaWrite" | "/machine.MachineService/MetaDelete"
    ) {
        &[ADMIN, "os:meta:writer"]
    } else {
        &[ADMIN]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_do_not_contain_each_other() {
        let version = allowed_roles("/machine.MachineService/Version");
        assert!(version.contains(&READER) && !version.contains(&BACKUP));
        let snapshot = allowed_roles("/machine.MachineService/EtcdSnapshot");
        assert!(snapshot.contains(&BACKUP) && !snapshot.contains(&READER));
        assert_eq!(allowed_roles("/machine.MachineService/Reboot"), [ADMIN, OPERATOR]);
        assert_eq!(allowed_roles("/machine.MachineService/Reset"), [ADMIN]);
        assert_eq!(allowed_roles("/made.Up/Method"), [ADMIN]);
    }
}
