package auth

// Verify compares an Attempt with the secret of the account it names, in constant
// time. The Verdict has the Attempt's Generation; on an MS-CHAPv2 success it has
// the authenticator response and the MPPE start keys; on a refusal its Reason says
// why for the operator, while Message stays the same for every cause. A store that
// does not know the user calls it with the zero Secret, which takes as long as a
// wrong password.
func Verify(a Attempt, secret Secret) Verdict { return Verdict{Generation: a.Generation} }

// UserWithoutDomain cuts a leading NT domain off a user name: DOMAIN\user and
// DOMAIN/user become user.
func UserWithoutDomain(user string) string { return user }

// NTHash is NtPasswordHash of RFC 2759 section 8.3: MD4 of the password in
// UTF-16LE. The error is ErrFIPS.
func NTHash(password string) ([16]byte, error) { return [16]byte{}, nil }
