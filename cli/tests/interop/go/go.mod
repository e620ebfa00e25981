module talosctl-oidc/interop

go 1.19
