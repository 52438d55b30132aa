# Tokens as an application mints them, good and bad, without any code of the module.
package Heartbeat::Token;
use strict;
use warnings;
use Digest::SHA qw(hmac_sha256);
use JSON::PP;
use MIME::Base64 qw(encode_base64url decode_base64url);

# A signed token: secret, then claims; exp is ten minutes from now if it is not given.
sub mint {
    my ($secret, %claims) = @_;
    $claims{exp} //= time + 600;
    return sign($secret, '{"alg":"HS256","typ":"JWT"}', encode_json(\%claims));
}

sub sign {
    my ($secret, $header, $payload) = @_;
    my $text = encode_base64url($header) . '.' . encode_base64url($payload);
    return "$text." . encode_base64url(hmac_sha256($text, $secret));
}

# A token signed by a private key in a file: algorithm (RS256, ES256), file, then claims as for mint().
sub mint_with {
    my ($algorithm, $file, %claims) = @_;
    $claims{exp} //= time + 600;
    my $text = encode_base64url(qq({"alg":"$algorithm","typ":"JWT"})) . '.' . encode_base64url(encode_json(\%claims));
    open my $out, '>', "$file.text" or die "$file.text: $!";
    print $out $text;
    close $out;
    my $signature = `openssl dgst -sha256 -sign $file $file.text`;
    if ($algorithm eq 'ES256') {    # two numbers of DER become two of 32 bytes (RFC 7518, section 3.4)
        my (undef, $r, $s) = unpack 'a2 x C/a x C/a', $signature;
        $signature = join '', map { substr "\0" x 32 . $_, -32 } $r, $s;
    }
    return "$text." . encode_base64url($signature);
}

# What a token says, believed or not.
sub claims { my ($token) = @_; return decode_json(decode_base64url((split /\./, $token)[1])) }

# A key file in a folder; returns its path.
sub key_file {
    my ($folder, $name, $secret) = @_;
    my $path = "$folder/$name";
    open my $file, '>', $path or die "$path: $!";
    print $file "$secret\n";
    close $file;
    chmod 0644, $path;
    return $path;
}

1;
