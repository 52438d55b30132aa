# What every test file begins with: a folder of its own, Redis, the server under test, and a few checks that all files share.
package Heartbeat::Test;
use strict;
use warnings;
use Exporter 'import';
use File::Temp;
use FindBin;
use Heartbeat::Load;
use Heartbeat::Proxy;
use Heartbeat::Redis;
use Heartbeat::Server;
use Test::More;
use Time::HiRes qw(time sleep);

our @EXPORT = qw(workplace redis proxy server both_endpoints eventually now_ms no_bad_log_lines seen_right last_seen_is every_last_seen_is_right every_ping_is_counted_once load percentile
    time sleep);

my $folder;

sub workplace {
    return "$folder" if $folder;
    $folder = File::Temp->newdir("heartbeat-test-XXXXXX", TMPDIR => 1, CLEANUP => !$ENV{HEARTBEAT_KEEP});
    chmod 0755, "$folder";
    return "$folder";
}

sub redis { return Heartbeat::Redis->new(dir => workplace(), @_) }
sub proxy { return Heartbeat::Proxy->new(@_) }
sub server { return Heartbeat::Server->make(dir => workplace(), @_) }
sub load { my ($server, %o) = @_; return Heartbeat::Load->start(dir => workplace(), port => $server->port, %o) }
sub percentile { return Heartbeat::Load::percentile(@_) }
sub now_ms { return time * 1000 }

# The locations most tests use. Arguments: settings for every one of them.
sub both_endpoints {
    my (@settings) = @_;
    return (
        '/hb/ping' => { endpoint => 'ping', settings => [@settings] },
        '/hb/page' => { endpoint => 'page', settings => [@settings] },
        '/plain.txt' => {},
    );
}

# Polls a condition; returns its value when it becomes true, or the last one when time is up.
sub eventually(&;$) {
    my ($condition, $seconds) = @_;
    my $end = time + ($seconds // 5);
    while (1) {
        my $value = eval { $condition->() };
        return $value if $value || time > $end;
        sleep 0.03;
    }
}

# Slow machines and sanitizers get more room.
sub tolerance { return Heartbeat::Server::sanitized() ? 400 : 150 }

# Is the last-seen time of a session within what the client knows about its last answered ping?
sub seen_right {
    my ($score, $asked, $answered, $tolerance) = @_;
    $tolerance //= tolerance();
    return defined $score && $score >= $asked - $tolerance && $score <= $answered + $tolerance;
}

# Of the sessions of a load: each one's last-seen time is that of its last acknowledged ping, or becomes so.
sub every_last_seen_is_right {
    my ($redis, $sessions, $seconds) = @_;
    my %wrong;
    eventually {
        my $seen = $redis->all_seen('one.test');
        %wrong = map { $_ => [ $seen->{$_} // 'never', $sessions->{$_} ] }
            grep { !seen_right($seen->{$_}, @{ $sessions->{$_} }{qw(asked answered)}) } keys %$sessions;
        !%wrong;
    } $seconds;
    Test::More::is(scalar keys %wrong, 0, 'every last-seen time is right')
        or Test::More::diag(Test::More::explain({ (%wrong)[ 0 .. (%wrong > 3 ? 5 : 1) ] }));
}

# Neither lost nor doubled. A ping that was recorded and then cut off without an answer may count or not; the last ones may
# still be on their way, for their times are looked at less exactly than their number.
sub every_ping_is_counted_once {
    my ($redis, $sessions) = @_;
    my %wrong;
    eventually {
        %wrong = ();
        for my $id (keys %$sessions) {
            my ($s, $beats) = ($sessions->{$id}, $redis->beats('one.test', $id) // 0);
            $wrong{$id} = [ $beats, $s ] if $beats < $s->{acked} || $beats > $s->{acked} + $s->{unanswered};
        }
        !%wrong;
    } 5;
    Test::More::is(scalar keys %wrong, 0, 'every acknowledged ping is counted once')
        or Test::More::diag(Test::More::explain(\%wrong));
}

sub last_seen_is {
    my ($redis, $site, $id, $asked, $answered, $name, $seconds) = @_;
    my $score;
    my $right = eventually { $score = $redis->seen($site, $id); seen_right($score, $asked, $answered) } $seconds // 5;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok($right, $name) or diag(sprintf "last seen %s, asked %.0f, answered %.0f", $score // 'never', $asked, $answered);
}

# The last check of every file. Arguments: patterns of lines that this file provoked on purpose.
sub no_bad_log_lines {
    my (@expected) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    for my $server (Heartbeat::Server::all()) {
        my $bad = $server->bad_lines;
        my @lines = grep { /$bad|Sanitizer|runtime error:|segfault|exit signal|exited on signal|assert/ } split /\n/, $server->error_log;
        for my $pattern (@expected) { @lines = grep { !/$pattern/ } @lines }
        is(scalar @lines, 0, $server->name . ': nothing alarming in the error log') or diag(join "\n", @lines > 20 ? @lines[0 .. 19] : @lines);
    }
}

END {
    my $status = $?;
    if ($status && $folder && $ENV{HEARTBEAT_KEEP}) { print STDERR "# kept: $folder\n" }
    $? = $status;
}

1;
