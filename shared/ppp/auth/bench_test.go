package auth

import "testing"

// BenchmarkVerify is what a login costs the server in computing.
func BenchmarkVerify(b *testing.B) {
	ms, md5 := exampleAttempt(b), md5Attempt(b)
	hash := mustHash(b, examplePassword)
	b.Run("MS-CHAPv2", func(b *testing.B) {
		for b.Loop() {
			Verify(ms, hash)
		}
	})
	b.Run("CHAP-MD5", func(b *testing.B) {
		for b.Loop() {
			Verify(md5, PlainSecret("secret"))
		}
	})
}
