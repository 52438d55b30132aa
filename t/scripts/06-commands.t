# The scripts use nothing that Redis 6.2 does not have.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Scripts;
use Heartbeat::Test;
use Test::More;

my $redis = redis();

sub newer { my ($since) = @_; my ($major, $minor) = split /\./, $since; return $major > 6 || $major == 6 && $minor > 2 }

# The words of a command's arguments and the version that brought each.
sub tokens {
    my ($arguments, $since, $all) = @_;
    for my $argument (@{ $arguments // [] }) {
        my %a = @$argument;
        my $own = $a{since} // $since;
        push @{ $all->{ uc $a{token} } }, $own if $a{token};
        tokens($a{arguments}, $own, $all);
    }
    return $all;
}

my $found = 0;
for my $file (glob "$FindBin::Bin/../../shared/redis/*.lua") {
    open my $in, '<', $file or die "$file: $!";
    my $text = do { local $/; <$in> };
    my ($name) = $file =~ m!([^/]+)\z!;
    while ($text =~ /\bp?call\('([A-Z]+)'([^\n]*)/g) {
        my ($command, $rest) = ($1, $2);
        $found++;
        my (undef, $docs) = @{ $redis->call('COMMAND', 'DOCS', $command) };
        my %docs = @{ $docs // [] };
        ok($docs{since} && !newer($docs{since}), "$name: $command") or diag $docs{since} // 'unknown';
        my $tokens = tokens($docs{arguments}, $docs{since} // 0, {});
        for my $word ($rest =~ /'([A-Z]{2,})'/g) {
            my @since = @{ $tokens->{$word} // next };
            ok((grep { !newer($_) } @since), "$name: $command $word") or diag "since @since";
        }
    }
}
cmp_ok($found, '>=', 25, 'commands found');

done_testing;
