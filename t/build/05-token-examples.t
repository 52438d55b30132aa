# The programs of docs/tokens.md run as they stand, but for the folder of the keys, and the core believes their tokens.
use strict;
use warnings;
use Cwd qw(getcwd);
use File::Temp qw(tempdir);
use Test::More;

my $build = $ENV{HEARTBEAT_BUILD} // 'build';
my $folder = tempdir(CLEANUP => 1);

sub slurp { open my $in, '<', $_[0] or die "$_[0]: $!"; local $/; <$in> }
sub spew { open my $out, '>', $_[0] or die "$_[0]: $!"; print $out $_[1]; close $out }

my $manual = slurp('docs/tokens.md');
sub block {
    my ($language) = @_;
    my ($text) = $manual =~ /```$language\n(.*?)```/s or die "no $language block";
    $text =~ s{/etc/heartbeat/}{$folder/}g or die "the $language block names no key";
    return $text;
}

my $said = `make --no-print-directory -s BUILD=$build $build/t/verify_token 2>&1`;
is($?, 0, 'the program that verifies') or BAIL_OUT($said);
my $verify = getcwd() . "/$build/t/verify_token";
sub verified { # TOKEN KEY...
    my ($token, @keys) = @_;
    spew("$folder/token", $token);
    return scalar `$verify @{[ map {"$folder/$_"} @keys ]} < $folder/token`;
}

spew("$folder/keys.sh", block('sh'));
$said = `sh -e $folder/keys.sh 2>&1`;
is($?, 0, 'the lines that make keys') or diag $said;
is((stat "$folder/$_")[2] & 0777, 0600, "nobody else reads $_") for qw(token.key ec-private.pem rsa-private.pem);

for (['php', 'php', 'php'], ['python', 'python3', 'py'], ['js', 'node', 'js']) {
    my ($language, $program, $ending) = @$_;
    spew("$folder/mint.$ending", block($language));
    my $token = `$program $folder/mint.$ending 2>&1`;
    is($?, 0, "$language runs") or diag $token;
    like(verified($token, 'token.key'), qr/^4f1c0b9e\|Zo\xc3\xab\|(3600|35[0-9]{2})$/, "$language: its token is good");
    is(verified($token, 'ec-public.pem', 'rsa-public.pem'), "the token is of an algorithm that no key is for\n", 'and not with other keys');
}
for my $kind (qw(ec rsa)) {
    my $token = `$verify --mint $folder/$kind-private.pem`;
    like(verified($token, "$kind-public.pem"), qr/^s\|u\|\d+$/, "the public $kind key verifies what the private one signs");
    isnt(system("$verify --mint $folder/$kind-public.pem > $folder/none"), 0, 'and does not sign');
}
done_testing;
