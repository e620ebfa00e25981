#!/bin/sh
# Makes the certificate authorities and requests of this folder anew with OpenSSL 3.
# The keys are for tests only. The cases that pin a certificate must be made anew with them.
set -eu
cd "$(dirname "$0")"
rm -rf ca csr && mkdir ca csr
tmp=$(mktemp -d) && trap 'rm -rf "$tmp"' EXIT

talos='basicConstraints = critical, CA:TRUE
keyUsage = critical, digitalSignature, keyCertSign
extendedKeyUsage = serverAuth, clientAuth
subjectKeyIdentifier = hash'

# key NAME OPENSSL-GENPKEY-ARGUMENTS...: PKCS#8
key() {
    name=$1 && shift
    openssl genpkey -quiet "$@" -out "ca/$name.key"
}

# cert NAME KEY SUBJECT EXTENSIONS [END] [ISSUER]
cert() {
    printf '%s\n' "$4" > "$tmp/ext"
    : > "$tmp/index" && rm -rf "$tmp/out" && mkdir "$tmp/out"
    cat > "$tmp/conf" <<CONF
[ca]
default_ca = d
[d]
database = $tmp/index
new_certs_dir = $tmp/out
rand_serial = yes
default_md = default
policy = p
unique_subject = no
[p]
organizationName = optional
commonName = optional
[req]
distinguished_name = n
[n]
CONF
    openssl req -new -config "$tmp/conf" -key "ca/$2.key" -subj "$3" -out "$tmp/req"
    if [ "${6:-}" ]; then
        set -- "$1" "$2" "$3" "$4" "${5:-20991231235959Z}" -cert "ca/$6.crt" -keyfile "ca/$6.key"
    else
        set -- "$1" "$2" "$3" "$4" "${5:-20991231235959Z}" -selfsign -keyfile "ca/$2.key"
    fi
    out="ca/$1.crt" end=$5 && shift 5
    openssl ca -batch -notext -config "$tmp/conf" -extfile "$tmp/ext" -preserveDN \
        -startdate 20190101000000Z -enddate "$end" -in "$tmp/req" "$@" -out "$out" 2> "$tmp/log" ||
        { cat "$tmp/log"; exit 1; }
}

key ed25519 -algorithm ed25519
key ed25519-next -algorithm ed25519
key p256 -algorithm EC -pkeyopt ec_paramgen_curve:P-256
key p384 -algorithm EC -pkeyopt ec_paramgen_curve:P-384
key p521 -algorithm EC -pkeyopt ec_paramgen_curve:P-521
key rsa2048 -algorithm RSA -pkeyopt rsa_keygen_bits:2048

for kind in ed25519 p256 p384 p521 rsa2048; do
    cert $kind $kind /O=talos "$talos"
done
# As Talos 1.11 and newer: the key identifier is random and no hash of the key.
cert ed25519-next ed25519-next /O=talos 'basicConstraints = critical, CA:TRUE
keyUsage = critical, digitalSignature, keyCertSign
extendedKeyUsage = serverAuth, clientAuth
subjectKeyIdentifier = 8f3a1c5e7d9b0246813579bdf02468ace1357bdf'
cert expired ed25519 /O=talos "$talos" 20200101000000Z
cert kubernetes ed25519 /O=kubernetes "$talos"
cert etcd ed25519 /O=etcd "$talos"
cert front-proxy ed25519 /CN=front-proxy "$talos"
cert aggregator ed25519 / "$talos"
cert not-a-ca ed25519 /O=talos 'basicConstraints = critical, CA:FALSE'
cert no-cert-sign ed25519 /O=talos 'basicConstraints = critical, CA:TRUE
keyUsage = critical, digitalSignature'
cert server-only ed25519 /O=talos 'basicConstraints = critical, CA:TRUE
extendedKeyUsage = serverAuth'
cert no-key-id ed25519 /O=talos 'basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = none'
cert intermediate ed25519-next '/O=talos/CN=issuer' 'basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign
extendedKeyUsage = clientAuth
subjectKeyIdentifier = hash' '' ed25519

openssl ec -in ca/p256.key -out ca/p256.sec1.key 2> "$tmp/log"
openssl ec -in ca/p256.key -no_public -out ca/p256.no-public.key 2> "$tmp/log"
openssl ec -in ca/p384.key -no_public -out ca/p384.no-public.key 2> "$tmp/log"
openssl rsa -in ca/rsa2048.key -traditional -out ca/rsa2048.pkcs1.key 2> "$tmp/log"
openssl pkey -in ca/p256.key -aes256 -passout pass:test -out ca/p256.encrypted.key
request() {
    openssl req -new -config "$tmp/conf" -subj '/O=os:admin/CN=requested' "$@"
}
request -key ca/ed25519-next.key -out csr/ed25519.csr
request -key ca/p256.key -out csr/p256.csr
request -key ca/p384.key -sha384 -out csr/p384.csr
request -key ca/rsa2048.key -sha512 -out csr/rsa2048.csr
request -key ca/p521.key -out csr/p521.csr
openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -out "$tmp/rsa1024.key"
request -key "$tmp/rsa1024.key" -out csr/rsa1024.csr
rm ca/p521.key

# What Talos writes: the same PKCS#8 bytes under a label of its own.
sed -i 's/ PRIVATE KEY/ ED25519 PRIVATE KEY/' ca/ed25519.key ca/ed25519-next.key
